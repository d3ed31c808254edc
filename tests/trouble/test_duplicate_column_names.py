"""Two columns of one name are a sentence where the name is read, and no trouble where it is not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures.parquet_run import columns, write_config
from tzrec.errors import DataError


def write_twice(folder: Path, name: str) -> Path:
    table = pa.table(columns(150))
    path = folder / "data/t.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table.append_column(name, table["user"]).append_column(name, table["item"]), path)
    return path


def test_repeated_column_that_is_not_read_is_no_trouble(tmp_path: Path) -> None:
    path = write_twice(tmp_path, "other")
    config = write_config(tmp_path)
    assert tzrec.check(config) == []
    assert tzrec.train(config).step == 2
    result = tzrec.init(path, ["clk"], tmp_path / "first.config")
    left_out = {reading.name: reading.evidence for reading in result.readings if reading.is_left_out}
    assert left_out["other"] == "several columns have this name"
    assert [stats.name for stats in result.columns] == ["user", "item", "price", "clk"]


@pytest.mark.parametrize("name", ["user", "clk"])
def test_repeated_column_that_is_read_is_named(tmp_path: Path, name: str) -> None:
    path = write_twice(tmp_path, name)
    config = write_config(tmp_path)
    message = rf't.parquet: 3 columns "{name}"; rename or drop all but one'
    (problem,) = tzrec.check(config)
    assert message.partition(": ")[2] in problem.message
    with pytest.raises(DataError, match=message):
        tzrec.train(config)
    with pytest.raises(DataError, match=rf'3 columns "{name}"'):
        tzrec.init(path, [name], tmp_path / "first.config")


def test_repeated_column_of_text_that_is_read_is_named(tmp_path: Path) -> None:
    text = "user,item,price,price,clk\n" + "1,2,3,4,0\n2,2,3,4,1\n" * 50
    (tmp_path / "t.csv").write_text(text)
    config = write_config(tmp_path, train=tmp_path / "t.csv", data="with_header: true")
    edit = {"data_config.dataset_type": "CsvDataset"}
    (problem,) = tzrec.check(config, edit=edit)
    assert '2 columns "price"' in problem.message
    with pytest.raises(DataError, match=r't.csv: 2 columns "price"'):
        tzrec.train(config, edit=edit)
    result = tzrec.init(tmp_path / "t.csv", ["clk"], tmp_path / "first.config")
    assert "price" in [reading.name for reading in result.readings if reading.is_left_out]
