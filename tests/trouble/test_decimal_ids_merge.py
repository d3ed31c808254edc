"""Decimal and unsigned ids above 2^53 stay different ids, and reserved columns keep their own type and value."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures.parquet_run import columns, write_config, write_file
from tzrec.config.check import load_checked
from tzrec.data.loader import DataLoader
from tzrec.features.feature_encoder import FeatureEncoder

NUMBERS = np.arange(150) % 50
SPARK = pa.decimal128(20, 0)  # Spark's type of an unsigned bigint


def ids_of(config_path: str, folder: Path) -> list[int]:
    config = load_checked(config_path)
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    loader = DataLoader(config, encoder, f"{folder}/data", "eval")
    return [int(value) for batch in loader.epoch() for value in batch.sparse["__BASE__"]["item"].values()]


@pytest.mark.parametrize("base", [10**17, 12345678901234560000, 10])
@pytest.mark.parametrize("kind", [SPARK, pa.decimal128(38, 0), pa.decimal256(40, 0), pa.uint64()])
def test_ids_of_wide_types_equal_those_of_their_text(tmp_path: Path, base: int, kind: pa.DataType) -> None:
    values = [base + int(number) for number in NUMBERS]
    typed = values if pa.types.is_uint64(kind) else [Decimal(value) for value in values]
    config = write_config(tmp_path)
    write_file(tmp_path, "t.parquet", item=[str(value) for value in values])
    expected = ids_of(config, tmp_path)
    assert len(set(expected)) > 40  # 50 ids in 500 rows of the table
    write_file(tmp_path, "t.parquet", item=pa.array(typed, kind))
    assert ids_of(config, tmp_path) == expected
    assert tzrec.check(config) == []


def test_proposed_config_reads_decimals_as_ids(tmp_path: Path) -> None:
    for base in (10**17, 12345678901234560000):
        write_file(tmp_path, "t.parquet", item=pa.array([Decimal(base + int(n)) for n in NUMBERS], SPARK))
        result = tzrec.init(str(tmp_path / "data"), ["clk"], tmp_path / "first.config")
        (item,) = (stats for stats in result.columns if stats.name == "item")
        assert item.distinct == 50
        (feature,) = (f for f in result.config.feature_configs if "item" in str(f.id_feature.feature_name))
        assert str(base) in feature.id_feature.vocab_list


def test_reserved_columns_keep_type_and_value(tmp_path: Path) -> None:
    stored = {
        "item": pa.array([Decimal(10**17 + int(number)) for number in NUMBERS], SPARK),
        "session": pa.array(2**64 - 1 - NUMBERS.astype(np.uint64), pa.uint64()),
        "day": pa.array(NUMBERS, pa.int32()).cast(pa.date32()),
        "time": pa.array(NUMBERS, pa.timestamp("us", "UTC")),
        "flag": pa.array(NUMBERS % 2 == 0),
        "small": pa.array(NUMBERS, pa.int8()),
        "raw": pa.array([b"\xff"] * 150),
        "amount": pa.array([Decimal("1.10")] * 150),
        "tree": pa.array([{"a": 1}] * 150),
    }
    path = write_file(tmp_path, "t.parquet", **stored)
    config = write_config(tmp_path)
    tzrec.train(config)
    tzrec.predict(path, tmp_path / "out", config=config, reserved_columns=list(stored))
    written = pq.read_table(tmp_path / "out").select(list(stored))
    assert written.schema.types == [array.type for array in stored.values()]
    assert written.to_pydict() == {name: array.to_pylist() for name, array in stored.items()}
    assert len(columns(150)["user"]) == written.num_rows
