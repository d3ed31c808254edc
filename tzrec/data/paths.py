"""Input paths: comma lists of globs over local paths and fsspec URLs, expanded to files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.fs as pafs

from tzrec.config.comma_list import split_commas
from tzrec.errors import DataError


@dataclass(frozen=True)
class FileVersion:
    """Size and time of the last change of a file; a store that keeps no times leaves `modified_ns` None."""

    size: int
    modified_ns: int | None


@dataclass(frozen=True)
class InputFile:
    """One input file.

    Attributes:
        filesystem: that contains it.
        path: inside the filesystem.
        name: path or URL for messages.
    """

    filesystem: pafs.FileSystem
    path: str
    name: str

    def version(self) -> FileVersion:
        """Return the present version.

        Raises:
            DataError: the file is gone.
        """
        info = self.filesystem.get_file_info(self.path)
        if info.type != pafs.FileType.File:
            raise DataError(f"{self.name}: the file is gone since the run found it; {_UNCHANGED}")
        return FileVersion(info.size or 0, info.mtime_ns)

    def ensure_unchanged(self, before: FileVersion) -> None:
        """Compare the present version with an earlier one: positions count rows, so a changed file has none.

        Raises:
            DataError: the file has grown, shrunk, been replaced or is gone.
        """
        now = self.version()
        if now == before:
            return
        sizes = f"from {before.size:,} to {now.size:,} bytes"
        changed = f"changed in size {sizes}" if now.size != before.size else f"was written again ({now.size:,} bytes)"
        raise DataError(f"{self.name}: the file {changed} since the run opened it; {_UNCHANGED}")


_UNCHANGED = "a run needs files that stay as they are: restore it, or write new rows to new files, and start again"


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem of a local path or URL, and the path inside it.

    Raises:
        DataError: the URL's protocol is unknown, or its package is not installed.
    """
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    import fsspec  # imported for URLs only

    try:
        remote, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise DataError(f'cannot open "{path}": {error}') from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(remote)), inner


def expand(patterns: str) -> list[InputFile]:
    """List the files of a comma list of globs, those of each glob sorted by name.

    Raises:
        DataError: a glob matches no file.
    """
    files = [file for pattern in split_commas(patterns) for file in _expand_glob(pattern)]
    if not files:
        raise DataError("the input path is empty; give a file, a glob such as data/train/*.parquet, or a comma list")
    return files


def _expand_glob(pattern: str) -> list[InputFile]:
    store, inner = filesystem(pattern)
    if "://" not in pattern:
        names: Sequence[str] = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
        files = [InputFile(store, name, name) for name in names]
    else:
        protocol = pattern.split("://", 1)[0]
        remote = store.handler.fs
        names = sorted(name for name in remote.glob(inner) if remote.isfile(name))
        files = [InputFile(store, name, f"{protocol}://{name.lstrip('/')}") for name in names]
    if not files:
        raise DataError(f'no file matches "{pattern}"{_hint(pattern)}')
    return files


def _hint(pattern: str) -> str:
    if os.path.isdir(pattern):
        return f'; it is a directory: did you mean "{os.path.join(pattern, "*")}"?'
    return ""
