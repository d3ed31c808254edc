"""Atomic writes: a file or directory has a temporary name beside its own until it is complete; one rename publishes it.

A reader therefore sees the old content or the new one, never a part of it. `is_synced` additionally flushes content and
rename to the disk, so that they survive a crash of the machine; it has no effect on remote filesystems.
"""

from __future__ import annotations

import io
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from tzrec.data.paths import filesystem
from tzrec.storage.path import AnyPath, StorePath, to_path
from tzrec.storage.streams import Upload
from tzrec.storage.url import without_file_scheme

Self = TypeVar("Self", bound="_AtomicPath")


class _AtomicPath(ABC):
    """As a context manager: published when the block ends, removed when it raises.

    Attributes:
        path: the final name, a local path or URL.
        temporary: the name until `publish`, on the same filesystem.
    """

    def __init__(self, path: str, temporary: str, is_synced: bool) -> None:
        self.path, self.temporary = without_file_scheme(path), without_file_scheme(temporary)
        self._filesystem, self._inner = filesystem(self.path)
        _, self._inner_temporary = filesystem(self.temporary)
        self._is_synced = is_synced and isinstance(self._filesystem, pafs.LocalFileSystem)

    @abstractmethod
    def publish(self) -> None:
        """Rename the temporary to its final name."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the temporary if it exists."""

    def _exists(self, inner: str) -> bool:
        return bool(self._filesystem.get_file_info(inner).type != pafs.FileType.NotFound)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.publish()
        finally:
            self.discard()


class AtomicFile(_AtomicPath):
    """A file that is called `.<name>.tmp` until it is published; replaces an existing file.

    In a store it has no other name: it appears when it is published.

    Args:
        path: a local path or URL in an existing directory.
        is_synced: flush the file and its name to the disk.
    """

    def __init__(self, path: str | Path, is_synced: bool = False) -> None:
        directory, name = os.path.split(str(path))
        super().__init__(str(path), os.path.join(directory, f".{name}.tmp"), is_synced)
        self._upload: Upload | None = None

    def open(self) -> pa.NativeFile:
        """Open the temporary file for writing; close it before `publish`."""
        target = to_path(self.path)
        if isinstance(target, Path):
            return self._filesystem.open_output_stream(self._inner_temporary)
        self._upload = target.open("wb")
        return pa.PythonFile(_Sink(self._upload), "w")

    def publish(self) -> None:
        if self._upload:
            self._upload.close()
            return
        if self._is_synced:
            sync_file(Path(self._inner_temporary))
        self._filesystem.move(self._inner_temporary, self._inner)
        if self._is_synced:
            sync_directory(Path(self._inner).parent)

    def discard(self) -> None:
        if self._upload:
            self._upload.abort()
        elif self._exists(self._inner_temporary):
            self._filesystem.delete_file(self._inner_temporary)


class _Sink(io.RawIOBase):
    """Upload for a writer of Arrow, whose closing of the stream must not publish it yet."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._upload.write(data)


class AtomicDirectory(_AtomicPath):
    """A directory that is written under a temporary name.

    Args:
        path: a local path or URL; missing parents are created.
        temporary: default `<path>.tmp-<process id>`.
        is_synced: flush all files and their names to the disk.
        is_replacing: replace an existing directory. Otherwise only an empty one is.
    """

    def __init__(
        self, path: str | Path, temporary: str = "", is_synced: bool = False, is_replacing: bool = False
    ) -> None:
        path = str(path).rstrip("/")
        super().__init__(path, temporary or f"{path}.tmp-{os.getpid()}", is_synced)
        self._is_replacing = is_replacing

    @property
    def draft(self) -> Path:
        """Local path of the temporary directory."""
        return Path(self.temporary)

    def create(self) -> None:
        """Create the temporary directory, empty."""
        self.discard()
        self._filesystem.create_dir(self._inner_temporary, recursive=True)

    def publish(self) -> None:
        """Rename the temporary directory to its final name.

        Raises:
            OSError: the final directory exists, is not empty and is not to be replaced.
        """
        if self._is_synced:
            for path in (*Path(self._inner_temporary).rglob("*"), Path(self._inner_temporary)):
                sync_directory(path) if path.is_dir() else sync_file(path)
        if isinstance(self._filesystem, pafs.LocalFileSystem):
            self._publish_locally(Path(self._inner))
        else:
            if self._exists(self._inner):
                self._filesystem.delete_dir(self._inner)
            self._filesystem.move(self._inner_temporary, self._inner)

    def _publish_locally(self, path: Path) -> None:
        if self._is_replacing:
            replace_directory(Path(self._inner_temporary), path)
        else:
            os.rename(self._inner_temporary, path)  # over an empty directory too
        if self._is_synced:
            sync_directory(path.parent)

    def discard(self) -> None:
        if isinstance(self._filesystem, pafs.LocalFileSystem):  # several ranks may do so at once
            remove_path(Path(self._inner_temporary))
        elif self._exists(self._inner_temporary):
            self._filesystem.delete_dir(self._inner_temporary)

    def __enter__(self) -> AtomicDirectory:
        self.create()
        return self


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add the path of a file to an error of the system that lacks it: one of Arrow, or of a file that is open."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: str | AnyPath, text: str, is_synced: bool = False) -> None:
    """Write a small UTF-8 file atomically. A store shows a file only when it is complete: no rename there."""
    target = to_path(path)
    if isinstance(target, StorePath):
        target.write_text(text)
        return
    with naming(target), AtomicFile(target, is_synced) as file:
        Path(file.temporary).write_text(text, encoding="utf-8")


def write_synced(path: AnyPath, text: str) -> None:
    """Write a small UTF-8 file inside a directory that is published later, and flush it to the disk."""
    path.write_text(text, encoding="utf-8")
    if isinstance(path, Path):
        sync_file(path)


def append_lines(path: str | AnyPath, lines: Sequence[str]) -> None:
    """Append complete lines to a file, or on an error none of them; half a line at its end is ended first.

    A store cannot append: the file is written again.
    """
    target = to_path(path)
    if isinstance(target, StorePath):
        before = target.read_bytes() if target.exists() else b""
        start = b"" if not before or before.endswith(b"\n") else b"\n"
        target.write_bytes(before + start + _lines(lines))
        return
    with naming(target), open(target, "ab+", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(size - 1)
        start = b"" if not size or stream.read(1) == b"\n" else b"\n"
        data = start + _lines(lines)
        try:
            while data:
                data = data[stream.write(data) :]
        except OSError:
            stream.truncate(size)
            raise


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def replace_directory(draft: Path, path: Path) -> None:
    """Rename a local directory to the name of another one, which is removed; it need not exist."""
    previous = _set_aside(path) if path.exists() else None
    os.rename(draft, path)
    if previous:
        remove_path(previous)


def remove_directory(path: Path) -> None:
    """Remove a local directory that others read: one rename hides it, then its files are deleted."""
    remove_path(_set_aside(path))


def remove(path: AnyPath) -> None:
    """Remove a directory or file, local or in a store, as far as the system allows."""
    if isinstance(path, StorePath):
        path.remove()
    else:
        remove_path(path)


def remove_path(path: Path) -> None:
    """Remove a local directory, file or link if it exists, as far as the system allows."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _set_aside(path: Path) -> Path:
    """Rename a directory to `<name>.old`."""
    previous = path.with_name(f"{path.name}.old")
    remove_path(previous)
    return path.rename(previous)


def sync_file(path: Path) -> None:
    """Flush the content of a file to the disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_directory(path: Path) -> None:
    """Flush the entries of a directory (new files, renames) to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
