"""Outputs of `tzrec predict`: over scores that are there, beside them, and in partition folders."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures.log_lines import recorded_log
from tests.fixtures.small_model import OUTPUTS, exported_package, small_rows
from tzrec.distributed import group
from tzrec.errors import UsageError
from tzrec.predict import main
from tzrec.storage.path import to_path

ROWS = 24


def write_day(folder: Path, day: str, first: int, num_rows: int) -> None:
    path = folder / f"dt={day}" / "clicks.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(small_rows(ROWS).slice(first, num_rows), path)


def predict(folder: Path, *more: str) -> int:
    """Score the folder `rows` into `out` with a package."""
    paths = ["--predict_input_path", f"{folder}/rows", "--predict_output_path", f"{folder}/out"]
    return main(["--model_path", str(exported_package()), *paths, "--reserved_columns", "row,dt", *more])


def rows_of(folder: Path) -> list[int]:
    """Values of the column `row`, file after file."""
    files = sorted((folder / "out").rglob("part-*.parquet"), key=lambda path: path.name)
    return [row for path in files for row in pq.read_table(path, partitioning=None)["row"].to_pylist()]


def manifest(folder: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads((folder / "out" / "_manifest.json").read_text())
    return value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_day(tmp_path / "rows", "2024-05-01", 0, 10)
    write_day(tmp_path / "rows", "2024-05-02", 10, 5)
    return tmp_path


def test_append_scores_only_the_files_that_are_new(folder: Path) -> None:
    assert predict(folder) == 0
    first = (folder / "out" / "part-000000-dt=2024-05-01-clicks.parquet").stat()
    write_day(folder / "rows", "2024-05-03", 15, 9)
    with recorded_log() as lines:
        assert predict(folder, "--append") == 0
    assert any(line.startswith(f"predict {folder}/out  (9 rows") for line in lines)
    assert rows_of(folder) == list(range(ROWS))
    assert {path.name for path in (folder / "out").iterdir()} == {
        "part-000000-dt=2024-05-01-clicks.parquet",
        "part-000001-dt=2024-05-02-clicks.parquet",
        "part-000002-dt=2024-05-03-clicks.parquet",
        "_manifest.json",
        "_SUCCESS",
    }
    assert (folder / "out" / "part-000000-dt=2024-05-01-clicks.parquet").stat().st_ino == first.st_ino
    described = manifest(folder)
    assert described["rows"] == ROWS and described["complete"] is True
    assert [part["rows"] for part in described["parts"]] == [10, 5, 9]  # type: ignore[attr-defined]
    assert len(described["inputs"]) == 3  # type: ignore[arg-type]
    with recorded_log() as lines:
        assert predict(folder, "--append") == 0
    assert f"predict {folder}/out  all 3 input files are scored already" in lines
    assert rows_of(folder) == list(range(ROWS))
    assert {path.name for path in folder.iterdir()} == {"rows", "out"}


def test_append_to_nothing_scores_all_files(folder: Path) -> None:
    assert predict(folder, "--append") == 0
    assert rows_of(folder) == list(range(15))


def test_append_after_an_interruption_continues(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict(folder) == 0
    write_day(folder / "rows", "2024-05-03", 15, 4)
    write_day(folder / "rows", "2024-05-04", 19, 5)

    answers = iter([True, False])  # all ranks have the output directory; one fails to write its part
    with monkeypatch.context() as patch:
        patch.setattr(group, "all_agree", lambda flag: next(answers))
        assert predict(folder, "--append") != 0
    assert rows_of(folder) == list(range(15))  # the scores of before are untouched
    with recorded_log() as lines:
        assert predict(folder, "--append") == 0
    assert "predict 2 of 2 parts are already finished" in lines
    assert rows_of(folder) == list(range(ROWS))


def test_append_of_a_changed_file_or_other_columns_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert predict(folder) == 0
    capfd.readouterr()
    assert predict(folder, "--append", "--output_columns", "probs_ctr") != 0
    assert "were written with another --output_columns ([]); pass the same one" in capfd.readouterr().err
    changed = folder / "rows" / "dt=2024-05-02" / "clicks.parquet"
    os.utime(changed, ns=(0, 0))
    assert predict(folder, "--append") != 0
    error = capfd.readouterr().err
    assert f"--append: {changed} was modified since its rows were scored in {folder}/out" in error
    assert predict(folder, "--append", "--overwrite") != 0
    assert "--append cannot be combined with --overwrite" in capfd.readouterr().err
    assert rows_of(folder) == list(range(15))


def test_append_to_what_is_no_complete_output_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "notes.txt").touch()
    assert predict(folder, "--append") != 0
    assert f"--append: {folder}/out is not the complete output of a prediction" in capfd.readouterr().err
    assert predict(folder, "--overwrite") != 0
    assert f"{folder}/out holds other files than scores; only scores are overwritten" in capfd.readouterr().err
    assert [path.name for path in (folder / "out").iterdir()] == ["notes.txt"]


def test_overwrite_replaces_the_scores_when_the_new_ones_are_complete(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert predict(folder) == 0
    (folder / "rows" / "dt=2024-05-01" / "clicks.parquet").unlink()
    assert predict(folder) != 0
    assert f"--predict_output_path {folder}/out is not empty" in capfd.readouterr().err
    assert predict(folder, "--overwrite", "--predict_steps", "bad") != 0
    assert rows_of(folder) == list(range(15))
    assert predict(folder, "--overwrite") == 0
    assert rows_of(folder) == list(range(10, 15))
    assert manifest(folder)["rows"] == 5
    assert {path.name for path in folder.iterdir()} == {"rows", "out"}


def test_overwrite_of_a_store_is_complete_only_at_the_end(folder: Path) -> None:
    target = "memory://predict-overwrite/out"
    package = exported_package()
    assert tzrec.predict(folder / "rows", target, package) == 15
    (folder / "rows" / "dt=2024-05-01" / "clicks.parquet").unlink()
    with pytest.raises(UsageError, match="is not empty"):
        tzrec.predict(folder / "rows", target, package)
    with pytest.raises(UsageError, match="existing must be one of refuse, overwrite and append; received 'replace'"):
        tzrec.predict(folder / "rows", target, package, existing="replace")  # type: ignore[arg-type]
    assert tzrec.predict(folder / "rows", target, package, existing="overwrite") == 5
    names = {path.name for path in to_path(target).iterdir()}
    assert names == {"part-000000-clicks.parquet", "_manifest.json", "_SUCCESS"}
    with pytest.raises(UsageError, match="--append adds to local directories only"):
        tzrec.predict(folder / "rows", target, package, existing="append")


def test_partition_folders_of_the_output_are_those_of_the_input(folder: Path) -> None:
    assert predict(folder, "--partition_folders") == 0
    write_day(folder / "rows", "__HIVE_DEFAULT_PARTITION__", 15, 9)
    assert predict(folder, "--partition_folders", "--append") == 0
    files = sorted(path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*.parquet"))
    assert files == [
        "dt=2024-05-01/part-000000-clicks.parquet",
        "dt=2024-05-02/part-000001-clicks.parquet",
        "dt=__HIVE_DEFAULT_PARTITION__/part-000002-clicks.parquet",
    ]
    assert pq.ParquetFile(folder / "out" / files[0]).schema_arrow.names == [*OUTPUTS, "row"]
    table = pads.dataset(folder / "out", partitioning=pads.partitioning(flavor="hive")).to_table()
    by_day: dict[str | None, list[int]] = {}
    for row in table.select(["row", "dt"]).to_pylist():
        by_day.setdefault(row["dt"], []).append(row["row"])
    assert by_day == {"2024-05-01": [*range(10)], "2024-05-02": [*range(10, 15)], None: [*range(15, ROWS)]}
    scores = tzrec.load(exported_package()).predict(small_rows(ROWS).slice(0, 10))
    received = pq.read_table(folder / "out" / files[0], partitioning=None)
    assert received["probs_ctr"].to_pylist() == pytest.approx(scores["probs_ctr"].to_pylist(), abs=1e-6)


def test_partition_folders_of_input_without_them_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").mkdir()
    pq.write_table(small_rows(3).append_column("dt", pa.array([1, 2, 3])), tmp_path / "rows" / "a.parquet")
    assert predict(tmp_path, "--partition_folders") != 0
    assert "--partition_folders: the input has no partition folders such as dt=2024-05-01" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]
