"""`tzrec init` and `tzrec fg` read ORC and Arrow files as they read Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather, orc

import tzrec
from tests.encoding.test_job import CONFIG, run_fg
from tests.fixtures.numbered_rows import table
from tzrec.config.load import load_config
from tzrec.protos import data_pb2

FORMATS = pytest.mark.parametrize("dataset", ["OrcDataset", "ArrowDataset"])


def write(folder: Path, dataset: str) -> str:
    """Write 120 rows in two files; return their glob."""
    folder.mkdir()
    writer = {"ParquetDataset": pq.write_table, "OrcDataset": orc.write_table, "ArrowDataset": feather.write_feather}
    for number in range(2):
        rows: pa.Table = table(60, number * 60).append_column("word", pa.array([f"w{row % 7}" for row in range(60)]))
        writer[dataset](rows, folder / f"{number}.data")
    return f"{folder}/*.data"


@FORMATS
def test_init_proposes_the_features_of_parquet_for_other_formats(tmp_path: Path, dataset: str) -> None:
    results = {
        kind: tzrec.init(write(tmp_path / kind, kind), ["clk"], tmp_path / f"{kind}.config")
        for kind in ("ParquetDataset", dataset)
    }
    expected, found = results["ParquetDataset"], results[dataset]
    assert found.config.data_config.dataset_type == getattr(data_pb2, dataset)
    assert [column.name for column in found.columns] == ["uid", "price", "clk", "w", "word"]
    assert (found.rows, [column.rows for column in found.columns]) == (120, [120] * 5)
    assert list(found.config.feature_configs) == list(expected.config.feature_configs)
    assert len(found.config.feature_configs) == 4
    assert load_config(str(tmp_path / f"{dataset}.config")) == found.config


@FORMATS
def test_fg_encodes_other_formats_as_parquet(tmp_path: Path, dataset: str) -> None:
    encoded = []
    for kind in ("ParquetDataset", dataset):
        write(tmp_path / kind, kind)
        path = tmp_path / f"{kind}.config"
        path.write_text(CONFIG.format(data=tmp_path / kind, kind="data", dataset=kind, more=""))
        assert run_fg(str(path), tmp_path / f"{kind}.out") == 0
        encoded.append(pq.read_table(tmp_path / f"{kind}.out" / "train"))
        config = load_config(str(tmp_path / f"{kind}.out" / "pipeline.config"))
        assert config.data_config.dataset_type == data_pb2.ParquetDataset  # of what was written
    assert encoded[0].num_rows == 120 and encoded[1].equals(encoded[0])
    assert [ids[0] for ids in encoded[1]["id"].to_pylist()] == list(range(120))
