"""Paths in a store, with the answers of `pathlib` where they have the same question."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from tests.fixtures.faulty_store import FaultyStore, faulty  # noqa: F401 - a fixture
from tzrec.errors import StoreError
from tzrec.storage import connection, streams
from tzrec.storage.path import AnyPath, StorePath, to_path

pytestmark = pytest.mark.usefixtures("faulty")


@pytest.fixture(params=["local", "store"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    return tmp_path if request.param == "local" else to_path("faulty://bucket/run")


def test_files_and_directories_are_told_apart(directory: AnyPath) -> None:
    (directory / "a").mkdir(parents=True, exist_ok=True)
    (directory / "a" / "x").write_bytes(b"12")
    (directory / "b").write_text("ä")
    assert (directory / "a").is_dir() and not (directory / "a" / "x").is_dir()
    assert (directory / "a" / "x").is_file() and not (directory / "a").is_file()
    assert (directory / "b").exists() and not (directory / "c").exists()
    assert (directory / "a" / "x").stat().st_size == 2
    assert (directory / "b").read_text() == "ä"
    assert sorted(path.name for path in directory.iterdir()) == ["a", "b"]
    assert (directory / "a").with_name("b") == directory / "b" and (directory / "a").parent == directory
    (directory / "b").unlink()
    (directory / "b").unlink(missing_ok=True)
    for read in ((directory / "b").read_bytes, (directory / "b").stat, (directory / "b").unlink):
        with pytest.raises(FileNotFoundError):
            read()


def test_file_is_read_by_ranges(directory: AnyPath) -> None:
    data = bytes(range(256)) * 5000
    (directory / "x").write_bytes(data)
    for buffering in (0, -1):
        with (directory / "x").open("rb", buffering=buffering) as stream:
            for start, count in ((1_000_000, 5), (3, 400_000), (0, 10), (len(data) - 3, 10), (len(data), 1)):
                stream.seek(start)
                assert stream.read(count) == data[start : start + count]
                assert stream.tell() == min(start + count, len(data))
            stream.seek(-4, io.SEEK_END)
            target = bytearray(10)
            assert stream.readinto(target) == 4 and target[:4] == data[-4:]


def test_upload_counts_and_hashes_what_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.setattr(streams, "_SLICE_BYTES", 7)
    path = to_path("faulty://bucket/x")
    with path.open("wb") as stream:
        stream.write(memoryview(b"a" * 100))
        stream.write(b"bc")
    assert stream.size == 102 and stream.digest.hexdigest() == hashlib.sha256(b"a" * 100 + b"bc").hexdigest()
    assert path.read_bytes() == b"a" * 100 + b"bc"


def test_create_is_exclusive() -> None:
    path = to_path("faulty://bucket/x")
    assert isinstance(path, StorePath)
    assert path.create(b"1") and not path.create(b"2")
    assert path.read_bytes() == b"1"


def test_directory_is_removed_with_its_first_file_first(faulty: FaultyStore) -> None:  # noqa: F811
    path = to_path("faulty://bucket/run")
    assert isinstance(path, StorePath)
    for name in ("a", "b", "manifest.json"):
        (path / name).write_bytes(b"1")
    faulty.reset()
    FaultyStore.fails = staticmethod(lambda number: OSError("injected") if number == 2 else None)
    with pytest.raises(StoreError, match="faulty://bucket/run: injected"):
        path.remove(first="manifest.json")
    assert not (path / "manifest.json").exists() and path.is_dir()
    path.remove(first="manifest.json")
    assert not path.exists()
    path.remove(first="manifest.json")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError("Access Denied"),
            "Access Denied (PermissionError); use credentials that may",
        ),
        (RuntimeError("Unable to locate credentials"), "; set the credentials of the store, for S3 AWS_ACCESS_KEY_ID"),
        (
            ConnectionRefusedError("Connect call failed"),
            "; check the network and the address of the store",
        ),
        (OSError("SlowDown: reduce your request rate"), "; the store limits requests: try again later"),
        (FileNotFoundError("The specified bucket does not exist"), "the bucket does not exist; create it, or correct"),
        (ValueError("unheard of"), "unheard of (ValueError)"),
    ],
)
def test_error_names_url_and_change(error: Exception, message: str) -> None:
    FaultyStore.fails = staticmethod(lambda number: error)
    path = to_path("faulty://bucket/run/x")
    for write in (lambda: path.write_bytes(b"1"), lambda: path.open("wb")):
        with pytest.raises(StoreError) as raised:
            write()
        assert str(raised.value).startswith("faulty://bucket/run/x: ") and message in str(raised.value)


def test_request_without_an_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.05)
    monkeypatch.setattr(FaultyStore, "info", lambda self, path, **more: time.sleep(5))
    start = time.monotonic()
    with pytest.raises(StoreError, match=r"faulty://bucket/x: no answer within 0 s; check the network"):
        to_path("faulty://bucket/x").exists()
    assert time.monotonic() - start < 3
