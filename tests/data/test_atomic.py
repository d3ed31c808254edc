"""Files and directories that appear complete or not at all."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from tzrec.data.atomic import AtomicDirectory, AtomicFile, remove_directory, write_text


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("is_synced", [False, True])
def test_file_keeps_its_old_content_until_published(tmp_path: Path, is_synced: bool) -> None:
    (tmp_path / "a.txt").write_text("old")
    with AtomicFile(tmp_path / "a.txt", is_synced) as file, file.open() as stream:
        stream.write(b"new")
        assert (tmp_path / "a.txt").read_text() == "old"
        assert names(tmp_path) == [".a.txt.tmp", "a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_file_is_removed_when_the_block_raises(tmp_path: Path) -> None:
    def write() -> None:
        with AtomicFile(tmp_path / "a.txt") as file:
            file.open().close()
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert names(tmp_path) == []


@pytest.mark.parametrize("is_synced", [False, True])
def test_directory_appears_complete_with_its_parents(tmp_path: Path, is_synced: bool) -> None:
    with AtomicDirectory(tmp_path / "x/out", is_synced=is_synced) as directory:
        Path(directory.temporary, "inner").mkdir()
        Path(directory.temporary, "inner/a.txt").write_text("a")
        assert not (tmp_path / "x/out").exists()
    assert (tmp_path / "x/out/inner/a.txt").read_text() == "a"
    assert names(tmp_path / "x") == ["out"]


def test_directory_takes_the_place_of_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with AtomicDirectory(tmp_path / "out") as directory:
        Path(directory.temporary, "a").touch()
    assert names(tmp_path / "out") == ["a"]


def test_directory_rejects_an_occupied_one_and_removes_its_temporary(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(OSError, match="not empty"), AtomicDirectory(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["old"]


def test_replacing_directory_replaces_an_occupied_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with AtomicDirectory(tmp_path / "out", is_replacing=True) as directory:
        Path(directory.temporary, "new").touch()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new"]


def test_directory_create_removes_what_an_earlier_process_left(tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial/stale").touch()
    AtomicDirectory(tmp_path / "out", f"{tmp_path}/out.partial").create()
    assert names(tmp_path / "out.partial") == []


def test_remote_directory_replaces_the_one_that_exists() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/atomic/out/old", b"1")
    with AtomicDirectory("memory://atomic/out", "memory://atomic/out.partial") as directory:
        fsspec.filesystem("memory").pipe(f"{directory.temporary.removeprefix('memory:/')}/new", b"2")
    assert [path.rsplit("/", 1)[1] for path in memory.find("/atomic")] == ["new"]


@pytest.mark.parametrize("is_synced", [False, True])
def test_write_text_replaces_a_file(tmp_path: Path, is_synced: bool) -> None:
    write_text(tmp_path / "a.txt", "1", is_synced)
    write_text(tmp_path / "a.txt", "ä", is_synced)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ä"
    assert names(tmp_path) == ["a.txt"]


def test_write_text_writes_to_a_remote_filesystem() -> None:
    write_text("memory://atomic-text/a.txt", "b")
    assert fsspec.filesystem("memory").cat("/atomic-text/a.txt") == b"b"


def test_remove_directory_removes_leftovers_of_an_earlier_removal(tmp_path: Path) -> None:
    for name in ("a", "a.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    remove_directory(tmp_path / "a")
    assert names(tmp_path) == []
