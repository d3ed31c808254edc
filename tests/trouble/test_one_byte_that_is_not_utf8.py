"""One cell that is not UTF-8 is a bad cell, in a line of the wrong number of cells too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tzrec
from tests.fixtures.click_files import clicks, write_config, write_csv
from tzrec.errors import DataError

HEADER = "with_header: true"
SKIP = f"{HEADER} bad_row_policy: SKIP_ROW"


def write(path: Path, bad: bytes = b"") -> None:
    """Write 300 rows; line 201 has an invalid title, or is replaced by `bad`."""
    columns = clicks(300)
    columns["title"] = [f"film {item}" for item in columns["item"]]
    write_csv(path, columns)
    lines = path.read_bytes().split(b"\n")
    lines[200] = bad or lines[200].replace(b"film", b"caf\xe9")
    path.write_bytes(b"\n".join(lines))


def test_cell_that_is_not_utf8_stops_a_run_with_column_line_and_fix(tmp_path: Path) -> None:
    write(tmp_path / "t.csv")
    config = write_config(tmp_path / "c.config", str(tmp_path / "t.csv"), with_title=True)
    said = r't.csv, line 201: column "title" has \'caf.*not UTF-8. Convert the file .* iconv -f LATIN1 -t UTF-8'
    with pytest.raises(DataError, match=said):
        tzrec.train(config)


@pytest.mark.parametrize(("policy", "rows"), [("SKIP_ROW", 299), ("DEFAULT", 300)])
def test_cell_that_is_not_utf8_is_left_out_or_defaulted(tmp_path: Path, policy: str, rows: int) -> None:
    write(tmp_path / "t.csv")
    settings = f"{HEADER} bad_row_policy: {policy}"
    config = write_config(tmp_path / "c.config", str(tmp_path / "t.csv"), settings, with_title=True)
    run = tzrec.train(config)
    record = json.loads((run.model_dir / "bad_rows.jsonl").read_text().splitlines()[0])
    assert (record["row"], record["column"], record["reason"]) == (200, "title", "not UTF-8")
    assert tzrec.predict(tmp_path / "t.csv", tmp_path / "scores", config=config) == rows
    reserved = ["title"]
    assert tzrec.predict(tmp_path / "t.csv", tmp_path / "copies", config=config, reserved_columns=reserved) == rows


def test_unread_column_that_is_not_utf8_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "t.csv")
    config = write_config(tmp_path / "c.config", str(tmp_path / "t.csv"))
    tzrec.train(config)
    assert tzrec.predict(tmp_path / "t.csv", tmp_path / "scores", config=config) == 300


def test_invalid_bytes_in_a_malformed_line_are_one_bad_line(tmp_path: Path) -> None:
    write(tmp_path / "u.csv", b"1,2,3,1,caf\xe9,extra")
    config = write_config(tmp_path / "c.config", str(tmp_path / "u.csv"))
    with pytest.raises(DataError, match=r"u\.csv, line 201: 6 cells where 5 are expected: '1,2,3,1,caf"):
        tzrec.train(config)
    tzrec.train(config, edit={"data_config.bad_row_policy": "SKIP_ROW"})
    edit = {"data_config.bad_row_policy": "SKIP_ROW"}
    assert tzrec.predict(tmp_path / "u.csv", tmp_path / "scores", config=config, edit=edit) == 299
