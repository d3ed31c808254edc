"""StorePath: a path in a store, with the methods of `pathlib.Path` that a run needs.

A store has objects with names, and no directories: a directory is a common beginning of names. It appears with its
first file and is gone with its last one. Nothing is renamed; a file appears complete, when its writing ends.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tzrec.errors import StoreError, UsageError
from tzrec.storage.connection import Connection
from tzrec.storage.streams import RangeReader, Upload
from tzrec.storage.url import URL, directory_problem, without_file_scheme

_VERSION_KEYS = ("ETag", "etag", "md5", "LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class StoreStat:
    """Size of a file, and whatever its store changes when it is written again; named as in `os.stat_result`."""

    st_size: int
    version: str


class StorePath:
    """File or directory of a store; use `to_path` to make one from a URL."""

    def __init__(self, connection: Connection, path: str, url: str) -> None:
        """
        Args:
            connection: to the store.
            path: in the filesystem of the connection.
            url: of the same file or directory.
        """
        self._connection, self._path, self._url = connection, path.rstrip("/"), url.rstrip("/")

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"StorePath({str(self)!r})"

    def __fspath__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: StorePath) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> StorePath:
        return StorePath(self._connection, f"{self._path}/{name}", f"{self._url}/{name}") if name else self

    @property
    def name(self) -> str:
        return self._path.rpartition("/")[2]

    @property
    def parent(self) -> StorePath:
        return StorePath(self._connection, self._path.rpartition("/")[0], self._url.rpartition("/")[0])

    def with_name(self, name: str) -> StorePath:
        return self.parent / name

    def exists(self) -> bool:
        return self._info() is not None

    def is_dir(self) -> bool:
        info = self._info()
        return info is not None and info["type"] == "directory"

    def is_file(self) -> bool:
        info = self._info()
        return info is not None and info["type"] == "file"

    def stat(self) -> StoreStat:
        """Return size and version.

        Raises:
            FileNotFoundError: there is nothing.
        """
        info = self._info()
        if info is None:
            raise FileNotFoundError(f"{self} does not exist")
        return _stat(info)

    def iterdir(self) -> Iterator[StorePath]:
        """Yield files and directories in this one; none if it does not exist."""
        try:
            names = self._call(lambda filesystem: filesystem.ls(self._path, detail=False))
        except FileNotFoundError:
            return
        for name in names:
            if name.rstrip("/") != self._path:  # some stores list an object with the name of the directory
                yield self / name.rstrip("/").rpartition("/")[2]

    def files(self) -> dict[str, StoreStat]:
        """Return size and version of all files below this directory, by their path in it."""
        entries = self._call(lambda filesystem: filesystem.find(self._path, detail=True))
        start = f"{self._path}/"
        return {name.removeprefix(start): _stat(info) for name, info in entries.items() if name.startswith(start)}

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a directory appears with its first file."""

    def open(self, mode: str = "rb", buffering: int = -1) -> Any:
        """Open for reading, "rb", or writing, "wb"; a file that is written appears when it is closed.

        Raises:
            FileNotFoundError: there is nothing to read.
        """
        if mode == "wb":
            return Upload(self._connection, self._path, str(self))
        assert mode == "rb", mode
        self._connection.filesystem.invalidate_cache()
        raw = RangeReader(self._connection, self._path, str(self))
        return raw if buffering == 0 else io.BufferedReader(raw)

    def read_bytes(self) -> bytes:
        data: bytes = self._call(lambda filesystem: filesystem.cat_file(self._path))
        return data

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> None:
        """Write a small file; it appears complete.

        Raises:
            StoreError: it could not be written.
        """
        try:
            self._call(lambda filesystem: filesystem.pipe_file(self._path, data))
        except FileNotFoundError as error:
            raise StoreError(f"{self}: the bucket does not exist; create it, or correct the URL") from error

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        self.write_bytes(text.encode(encoding))

    def create(self, data: bytes) -> bool:
        """Write a small file unless it exists, which the store decides; return False if it does.

        Raises:
            StoreError: it could not be written, or the store cannot decide this.
        """
        try:
            self._call(lambda filesystem: filesystem.pipe_file(self._path, data, mode="create"))
        except FileExistsError:
            return False
        except FileNotFoundError as error:
            raise StoreError(f"{self}: the bucket does not exist; create it, or correct the URL") from error
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self._call(lambda filesystem: filesystem.rm_file(self._path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove(self, first: str = "") -> None:
        """Delete a file, or all files of a directory: the file `first` before the others, if it is there."""
        try:
            if first:
                (self / first).unlink(missing_ok=True)
            self._call(lambda filesystem: filesystem.rm(self._path, recursive=True))
        except FileNotFoundError:
            return

    def copy_directory(self, target: StorePath) -> None:
        """Copy all files of a directory, inside of the store."""
        for name in self.files():
            pair = (self / name)._path, (target / name)._path
            self._call(lambda filesystem, pair=pair: filesystem.cp_file(*pair))

    def _info(self) -> dict[str, Any] | None:
        """Return the entry of a file or directory; None if there is none."""
        try:
            info: dict[str, Any] = self._call(lambda filesystem: filesystem.info(self._path))
        except FileNotFoundError:
            return None
        return info

    def _call(self, request: Any) -> Any:
        filesystem = self._connection.filesystem

        def call() -> Any:
            filesystem.invalidate_cache()  # another process may have changed what was listed before
            return request(filesystem)

        return self._connection.call(str(self), call)


AnyPath = Path | StorePath
"""A local path, or one in a store."""


def to_path(path: str | PathLike[str]) -> AnyPath:
    """Return a local path, or for a URL the path in its store.

    Raises:
        StoreError: there is no such store.
    """
    text = without_file_scheme(fspath(path))
    match = URL.fullmatch(text)
    if match is None:
        return Path(text)
    if match["scheme"].lower() == "file":
        raise StoreError(directory_problem(text))
    url = f"{match['scheme']}://{match['rest'].lstrip('/')}"
    connection = Connection(url)
    return StorePath(connection, connection.root, url)


def to_directory(name: str, path: str | PathLike[str]) -> AnyPath:
    """Return the path of a directory to write, which a caller gave as an argument.

    Args:
        name: flag or argument, for the error.
        path: local path or URL.

    Raises:
        UsageError: it is the URL of something else than a store.
    """
    problem = directory_problem(fspath(path))
    if problem:
        raise UsageError(f"{name}: {problem}")
    return to_path(path)


def _stat(info: dict[str, Any]) -> StoreStat:
    version = "".join(str(info[key]) for key in _VERSION_KEYS if info.get(key) is not None)
    return StoreStat(int(info["size"] or 0), version)
