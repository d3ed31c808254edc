"""PartLoader: the rows of files in order, with copies of their columns and without labels."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import make_config, table
from tzrec.data.batch import BASE, Batch
from tzrec.data.parts.loader import PartLoader
from tzrec.features.feature_encoder import FeatureEncoder


def open_parts(path: str, data: str = "", reserved: tuple[str, ...] = (), batch_size: int | None = None) -> PartLoader:
    config = make_config(data)
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    return PartLoader(config, encoder, path, reserved, batch_size)


def batches_of(loader: PartLoader) -> list[Batch]:
    return [item.batch for item in loader.batches(iter(loader.split())) if item.batch]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("sizes", [[1], [9, 8, 6]], ids=str)
def test_parts_are_read_in_order_with_copies_of_their_columns(write: Write, kind: str, sizes: list[int]) -> None:
    data = "dataset_type: CsvDataset" if kind == "csv" else ""
    data += " shuffle: true drop_remainder: true num_workers: 2"  # neither is for scoring
    batches = batches_of(open_parts(write(sizes, kind), data, ("uid",)))
    uids = [batch.sparse[BASE].values().tolist() for batch in batches]
    assert list(itertools.chain(*uids)) == list(range(sum(sizes)))
    assert [batch.rows for batch in batches] == ([1] if sizes == [1] else [4, 4, 1, 4, 4, 4, 2])
    assert [batch.reserved and batch.reserved["uid"].to_pylist() for batch in batches] == uids


def test_batch_size_of_parts_is_given_or_that_of_evaluation(write: Write) -> None:
    path = write([13])
    assert [batch.rows for batch in batches_of(open_parts(path, "eval_batch_size: 6"))] == [6, 6, 1]
    assert [batch.rows for batch in batches_of(open_parts(path, "eval_batch_size: 6", batch_size=9))] == [9, 4]


def test_reserved_selects_columns(write: Write) -> None:
    path = write([3])
    everything = batches_of(open_parts(path, reserved=("ALL_COLUMNS",)))[0].reserved
    effective = batches_of(open_parts(path, reserved=("w", "ALL_EFFECTIVE_COLUMNS")))[0].reserved
    assert everything is not None
    assert everything.to_pydict() == table(3).to_pydict()
    assert effective is not None
    assert effective.column_names == ["w", "uid", "price"]
    assert batches_of(open_parts(path))[0].reserved is None


def test_parts_need_no_labels(tmp_path: Path) -> None:
    pq.write_table(table(3).select(["uid", "price"]), tmp_path / "a.parquet")
    assert batches_of(open_parts(f"{tmp_path}/a.parquet"))[0].labels == {}


def test_copies_of_skipped_rows_are_left_out(tmp_path: Path) -> None:
    rows = table(6)
    pq.write_table(rows.set_column(0, "uid", [[0, -1, 2, 3, -7, 5]]), tmp_path / "a.parquet")
    (batch,) = batches_of(open_parts(f"{tmp_path}/a.parquet", "bad_row_policy: SKIP_ROW batch_size: 6", ("price",)))
    assert batch.reserved is not None
    assert batch.sparse[BASE].values().tolist() == [0, 2, 3, 5]
    assert batch.reserved["price"].to_pylist() == [0.0, 1.0, 1.5, 2.5]
