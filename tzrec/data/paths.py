"""Where the data lies: comma lists of globs over local paths and fsspec URLs, as lists of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.fs as pafs

from tzrec.config.comma_list import split_commas
from tzrec.errors import DataError


@dataclass(frozen=True)
class InputFile:
    """One input file.

    Attributes:
        filesystem: where it lies.
        path: its path there.
        name: how the user knows it; what errors print.
    """

    filesystem: pafs.FileSystem
    path: str
    name: str


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of a local path or URL, and the path inside it.

    Raises:
        DataError: the URL's protocol is unknown, or its package is not installed.
    """
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    import fsspec  # only URLs need it

    try:
        remote, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise DataError(f'cannot open "{path}": {error}') from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(remote)), inner


def expand(patterns: str) -> list[InputFile]:
    """All files of a comma list of globs: the parts in their order, the files of a part sorted by name.

    Raises:
        DataError: a part matches no file.
    """
    parts = split_commas(patterns)
    files = [file for part in parts for file in _expand_one(part)]
    if not files:
        raise DataError("the input path is empty; give a file, a glob such as data/train/*.parquet, or a comma list")
    return files


def _expand_one(pattern: str) -> list[InputFile]:
    where, inner = filesystem(pattern)
    if "://" not in pattern:
        names: Sequence[str] = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
        found = [InputFile(where, name, name) for name in names]
    else:
        protocol = pattern.split("://", 1)[0]
        remote = where.handler.fs
        names = sorted(name for name in remote.glob(inner) if remote.isfile(name))
        found = [InputFile(where, name, f"{protocol}://{name.lstrip('/')}") for name in names]
    if not found:
        raise DataError(f'no file matches "{pattern}"{_hint(pattern)}')
    return found


def _hint(pattern: str) -> str:
    if os.path.isdir(pattern):
        return f'; it is a folder: did you mean "{os.path.join(pattern, "*")}"?'
    return ""
