"""Ids as 123 and 123.0 in text are named, with the setting that lets them meet; hashes do not change."""

from __future__ import annotations

from pathlib import Path

import tzrec
from tests.fixtures.click_files import clicks, write_config, write_csv
from tzrec.run.check import check

SAID = 'of the ids of "user" are written as decimals, such as '
CURE = 'data_config { input_fields { input_name: "user" input_type: INT64 } }'
HEADER = "with_header: true"
INT64 = 'input_fields { input_name: "user" input_type: INT64 }'


def write(folder: Path) -> None:
    first, second = clicks(300), clicks(300)
    second["user"] = ["" if row % 40 == 0 else f"{user}.0" for row, user in enumerate(second["user"])]
    write_csv(folder / "0.csv", first)
    write_csv(folder / "1.csv", second)


def test_ids_written_as_floats_are_named_by_check_and_init(tmp_path: Path) -> None:
    write(tmp_path)
    notes = check(write_config(tmp_path / "c.config", f"{tmp_path}/*.csv")).notes
    assert sum(SAID in note and CURE in note and "49.3 %" in note for note in notes) == 1
    result = tzrec.init(f"{tmp_path}/*.csv", ["clk"], tmp_path / "first.config")
    assert sum(SAID in note and CURE in note for note in result.notes) == 1
    assert not any('"item"' in note and SAID in note for note in result.notes)


def test_ids_declared_as_integers_meet(tmp_path: Path) -> None:
    """The same user has the same score in both files, though not in their order of rows."""
    write(tmp_path)
    config = write_config(tmp_path / "c.config", f"{tmp_path}/*.csv", f"{HEADER} {INT64}")
    assert check(config).notes == [f"data   first 600 rows of {tmp_path}/*.csv", "       user null 1.33 %"]
    tzrec.train(config)
    write_csv(tmp_path / "x.csv", {"user": ["7", "7.0", "8.00"], "price": [1.5] * 3})
    tzrec.predict(tmp_path / "x.csv", tmp_path / "scores", config=config)
    scores = [line.split(",")[1] for line in next((tmp_path / "scores").glob("part-*")).read_text().splitlines()[1:]]
    assert scores[0] == scores[1] != scores[2]
