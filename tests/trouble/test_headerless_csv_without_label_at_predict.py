"""Rows to score without the label column, in text without a header."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv
import pytest

import tzrec
from tests.fixtures.click_files import clicks, write_config, write_csv
from tzrec.errors import DataError

FIELDS = 'input_fields_str: "clk;user;item;price"'


def write(folder: Path) -> str:
    columns = clicks(200)
    columns = {"clk": columns.pop("clk"), **columns}
    write_csv(folder / "train.csv", columns, with_header=False)
    columns.pop("clk")
    write_csv(folder / "new.csv", columns, with_header=False)
    return write_config(folder / "c.config", str(folder / "train.csv"), FIELDS)


def test_predict_reads_rows_with_and_without_labels_alike(tmp_path: Path) -> None:
    config = write(tmp_path)
    tzrec.train(config)
    for name in ("train", "new"):
        assert tzrec.predict(tmp_path / f"{name}.csv", tmp_path / name, config=config) == 200
    scores = [pyarrow.csv.read_csv(next((tmp_path / name).glob("part-*"))) for name in ("train", "new")]
    assert scores[0].equals(scores[1])


def test_no_rows_says_what_became_of_the_lines(tmp_path: Path) -> None:
    config = write(tmp_path)
    tzrec.train(config)
    (tmp_path / "new.csv").write_text("1,2\n" * 200)
    with pytest.raises(DataError, match="line 1: 2 cells where 4 are expected"):
        tzrec.predict(tmp_path / "new.csv", tmp_path / "a", config=config)
    said = (
        r"no rows; 200 lines were left out \(wrong number of cells 200\), the first of them .*new.csv, line 1: 2 cells"
    )
    with pytest.raises(DataError, match=said):
        tzrec.predict(
            tmp_path / "new.csv", tmp_path / "b", config=config, edit={"data_config.bad_row_policy": "SKIP_ROW"}
        )
