"""Whatever a remote filesystem raises is an error that names the path, when it is opened and when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import tzrec
from tests.fixtures.parquet_run import write_config, write_file
from tzrec.errors import DataError


class ThrottledError(Exception):
    """Error of a client library that derives from none of Python's."""


class Flaky(MemoryFileSystem):  # type: ignore[misc]
    """Filesystem whose files cannot be opened."""

    protocol = "flaky"

    def glob(self, path: str, **kwargs: Any) -> list[str]:
        return ["/train/t.parquet"]

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        raise ThrottledError(f"SlowDown: reduce your request rate\n  while reading {path}")


class Unloadable(MemoryFileSystem):  # type: ignore[misc]
    """Filesystem whose library is missing."""

    protocol = "unloadable"

    def __init__(self, **kwargs: Any) -> None:
        raise OSError("Unable to load libjvm: dlopen(libjvm.so) failed")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("unloadable://node/train/*.parquet", r'cannot open "unloadable://node/train/.*Unable to load libjvm.*OSError'),
        ("flaky://train/*.parquet", r'"flaky://train/.*SlowDown: reduce your request rate \(ThrottledError\)$'),
        ("nosuch://train/*.parquet", r'cannot open "nosuch://train/'),
        ("memory://tzrec_nothing/*.parquet", r'no file matches "memory://tzrec_nothing/'),
    ],
)
def test_error_of_a_remote_filesystem_names_the_path(tmp_path: Path, url: str, message: str) -> None:
    for kind in (Flaky, Unloadable):
        fsspec.register_implementation(kind.protocol, kind, clobber=True)
    path = write_file(tmp_path, "t.parquet")
    fsspec.filesystem("memory").pipe_file("/train/t.parquet", path.read_bytes())
    config = write_config(tmp_path, train=url, eval=path)
    with pytest.raises(DataError, match=message):
        tzrec.train(config)
    (problem,) = tzrec.check(config, data=url)
    assert url.partition("*")[0].rstrip("/") in problem.message
    with pytest.raises(DataError, match=message):
        tzrec.init(url, ["clk"], tmp_path / "first.config")
    fsspec.filesystem("memory").rm("/train", recursive=True)
