from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from tzrec.data.paths import expand
from tzrec.errors import DataError


def test_expand_keeps_the_order_of_globs_and_sorts_files(tmp_path: Path) -> None:
    for name in ("b2", "a1", "b10", "b1"):
        (tmp_path / name).touch()
    (tmp_path / "b_folder").mkdir()
    files = expand(f"{tmp_path}/b*, {tmp_path}/a1,")
    assert [Path(file.name).name for file in files] == ["b1", "b10", "b2", "a1"]


def test_expand_lists_files_of_urls() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("y.csv", "x.csv", "z.txt"):
        memory.pipe_file(f"/tzrec_paths/{name}", b"1,2")
    files = expand("memory://tzrec_paths/*.csv")
    assert [file.name for file in files] == ["memory://tzrec_paths/x.csv", "memory://tzrec_paths/y.csv"]
    with files[0].filesystem.open_input_stream(files[0].path) as stream:
        assert stream.read() == b"1,2"


def test_expand_of_missing_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no file matches ".*/\*\.parquet"$'):
        expand(f"{tmp_path}/*.parquet")
    with pytest.raises(DataError, match=r'it is a directory: did you mean ".*/\*"'):
        expand(str(tmp_path))
    with pytest.raises(DataError, match="the input path is empty"):
        expand(" , ")
    with pytest.raises(DataError, match=r'cannot open "nope://x"'):
        expand("nope://x")


def test_input_file_that_changes_is_named_with_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("12345")
    (file,) = expand(str(path))
    before = file.version()
    assert before.size == 5
    file.ensure_unchanged(before)
    path.write_text("1234567")
    with pytest.raises(DataError, match=r"a\.csv: the file changed in size from 5 to 7 bytes since the run opened it"):
        file.ensure_unchanged(before)
    path.write_text("54321")
    os.utime(path, ns=(0, (before.modified_ns or 0) + 1_000_000))
    with pytest.raises(DataError, match=r"a\.csv: the file was written again \(5 bytes\)"):
        file.ensure_unchanged(before)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.csv: the file is gone"):
        file.ensure_unchanged(before)
