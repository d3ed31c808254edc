"""Format of text files that no config describes: delimiter, quote, compression, and files that are no tables."""

from __future__ import annotations

import bz2
import gzip
import zipfile
from pathlib import Path

import pytest

import tzrec
from tzrec.errors import DataError

ROWS = [("St. John's", 'the "best", it says', str(row / 7), str(row % 2)) for row in range(60)]
NAMES = ("city", "note", "price", "clk")


def text(delimiter: str = ",", quote: str = '"') -> str:
    def cell(value: str) -> str:
        return f"{quote}{value.replace(quote, 2 * quote)}{quote}" if delimiter in value or quote in value else value

    return "".join(delimiter.join(map(cell, row)) + "\n" for row in [NAMES, *ROWS])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_delimiter_and_quote_are_found(delimiter: str, quote: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text(delimiter, quote))
    result = tzrec.init(tmp_path / "a.csv", ["clk"], tmp_path / "c.config")
    data = result.config.data_config
    assert (data.delimiter, data.quote, result.rows) == (delimiter, quote, 60)
    assert [(reading.name, reading.taken_as) for reading in result.readings] == [
        ("city", "left out"),
        ("note", "left out"),
        ("price", "number"),
        ("clk", "label"),
    ]
    (city, note, *_) = result.columns
    assert (city.top(1)[0].value, note.top(1)[0].value) == ROWS[0][:2]


@pytest.mark.parametrize(("name", "compress"), [("a.csv.gz", gzip.compress), ("a.txt.bz2", bz2.compress)])
def test_compressed_text_is_read(name: str, compress: object, tmp_path: Path) -> None:
    assert callable(compress)
    (tmp_path / name).write_bytes(compress(text(";").encode()))
    assert tzrec.init(tmp_path / name, ["clk"], tmp_path / "c.config").rows == 60


def test_files_that_are_no_tables_are_refused_with_a_cure(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("a.csv", text())
    with pytest.raises(DataError, match=r"a\.csv\.zip: is a zip archive; unpack it, e\.g\. unzip "):
        tzrec.init(tmp_path / "a.csv.zip", ["clk"], tmp_path / "c.config")
    (tmp_path / "a.jsonl").write_text('{"a": 1, "clk": 0}\n' * 9)
    with pytest.raises(DataError, match=r"holds JSON; tables are read from Parquet.*read_json"):
        tzrec.init(tmp_path / "a.jsonl", ["clk"], tmp_path / "c.config")


def test_cells_of_another_encoding_are_missing_and_named(tmp_path: Path) -> None:
    lines = ["city,age,clk", *(f"{'Zürich' if row % 4 else 'Bonn'},{row % 30},{row % 2}" for row in range(200))]
    (tmp_path / "a.csv").write_bytes("\n".join(lines).encode("latin-1"))
    result = tzrec.init(tmp_path / "a.csv", ["clk"], tmp_path / "c.config")
    (note,) = (note for note in result.notes if "UTF-8" in note)
    assert note.startswith('column "city": 150 of the first 200 cells are not UTF-8 text and count as missing; convert')
    assert result.columns[0].missing == 150
    assert [item.reason for item in result.suggestions if item.path == "data_config.bad_row_policy"] == [
        "some cells are not UTF-8 text"
    ]
