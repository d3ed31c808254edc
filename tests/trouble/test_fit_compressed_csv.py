"""`tzrec init` on compressed text and on other delimiters."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

import tzrec
from tests.fixtures.click_files import clicks, write_csv
from tzrec.errors import DataError
from tzrec.protos.data_pb2 import CsvDataset
from tzrec.tools.init import main


@pytest.mark.parametrize("codec", ["gz", "bz2", "zst"])
def test_init_reads_compressed_text(tmp_path: Path, codec: str) -> None:
    write_csv(tmp_path / "t.csv", clicks(300))
    with pa.output_stream(tmp_path / f"t.csv.{codec}", compression="detect") as out:
        out.write((tmp_path / "t.csv").read_bytes())
    result = tzrec.init(tmp_path / f"t.csv.{codec}", ["clk"], tmp_path / "first.config")
    assert (result.config.data_config.dataset_type, result.rows) == (CsvDataset, 300)
    assert tzrec.check(tmp_path / "first.config") == []


@pytest.mark.parametrize("delimiter", [",", "\t", "|", ";", "\x01", " "])
@pytest.mark.parametrize("name", ["t.txt", "part-0000"])
def test_init_finds_the_delimiter(tmp_path: Path, delimiter: str, name: str) -> None:
    write_csv(tmp_path / name, clicks(50), delimiter)
    result = tzrec.init(tmp_path / name, ["clk"], tmp_path / "first.config")
    assert result.config.data_config.delimiter == delimiter
    assert [column.name for column in result.columns] == ["user", "item", "price", "clk"]


def test_init_finds_compression_without_a_suffix(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", clicks(50), "|")
    (tmp_path / "part-0000").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    assert tzrec.init(tmp_path / "part-0000", ["clk"], tmp_path / "first.config").rows == 50


def test_init_names_a_delimiter_of_two_characters(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.dat", clicks(50), "::")
    with pytest.raises(DataError, match=r"t\.dat: its cells are separated by '::', .* sed 's/::/|/g'"):
        tzrec.init(tmp_path / "t.dat", ["clk"], tmp_path / "first.config")


def test_init_says_how_to_name_the_columns_of_text_without_a_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "t.csv", clicks(50), with_header=False)
    command = ["--train_input_path", str(tmp_path / "t.csv"), "--label_fields", "clk"]
    assert main(command) == 1
    assert '"data_config.with_header": false, "data_config.input_fields_str": "' in capsys.readouterr().err
    edits = '{"data_config.with_header": false, "data_config.input_fields_str": "user;item;price;clk"}'
    assert main([*command, "--edit_config_json", edits]) == 0
    assert "50 rows" in capsys.readouterr().out


def test_text_that_is_called_parquet_says_how_to_read_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.parquet", clicks(50))
    with pytest.raises(DataError, match=r"t\.parquet: .* as Parquet: .* set data_config.dataset_type to CsvDataset"):
        tzrec.init(tmp_path / "t.parquet", ["clk"], tmp_path / "first.config")
