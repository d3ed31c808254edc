"""Input paths: comma lists of files, folders and globs, local or fsspec URLs, expanded to files.

A folder stands for the files below it, in sorted order, as Hive and Spark write them: `dt=2024-05-01/part-0.parquet`.
Names that begin with "_" or "." (`_SUCCESS`, `_metadata`, `.part-0.crc`, `_temporary/`) are not data; such a file is
read only where its path is given in full.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from tzrec.config.comma_list import split_commas
from tzrec.config.local_path import without_file_scheme
from tzrec.errors import DataError, TzrecError, first_line


@dataclass(frozen=True)
class FileVersion:
    """Size and time of the last change of a file; a store that keeps no times leaves `modified_ns` None."""

    size: int
    modified_ns: int | None


_HIDDEN = ("_", ".")


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


class _NamedErrors:
    """An fsspec filesystem whose errors are DataErrors that name the URL, whatever class they had.

    A missing file stays a FileNotFoundError, by which callers recognize it.
    """

    def __init__(self, remote: Any, url: str) -> None:
        self._remote, self._url = remote, url

    def __reduce__(self) -> tuple[type[_NamedErrors], tuple[Any, str]]:
        return _NamedErrors, (self._remote, self._url)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._remote, name)
        return self._named(value) if callable(value) else value

    def _named(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except (FileNotFoundError, TzrecError):
                raise
            except Exception as error:
                raise DataError(_cannot_open(self._url, error)) from error

        return call


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem of a local path or URL, and the path inside it.

    Raises:
        DataError: the URL's protocol is unknown, its package is not installed, or the filesystem cannot be reached.
    """
    path = without_file_scheme(path)
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    import fsspec  # imported for URLs only

    try:
        remote, inner = fsspec.core.url_to_fs(path)
    except Exception as error:  # of any class: each filesystem has its own
        raise DataError(_cannot_open(path, error)) from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(_NamedErrors(remote, path))), inner


def _cannot_open(path: str, error: Exception) -> str:
    return f'cannot open "{path}": {_line_of(error)}'


def _line_of(error: Exception) -> str:
    """Format an error of another library on one line, with its class."""
    text, kind = first_line(error), type(error).__name__
    return text if text == kind else f"{text} ({kind})"


_TEXT_HINT = (
    ". If it is delimited text, set data_config.dataset_type to CsvDataset, data_config.delimiter, and "
    "data_config.with_header or input_fields"
)


@contextmanager
def reading(file: InputFile, kind: str) -> Iterator[None]:
    """Turn every error of the filesystem or of Arrow inside the block into a DataError that names the file.

    Args:
        file: the file that is read.
        kind: its format, for the message.
    """
    try:
        yield
    except TzrecError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{file.name}: is gone: it was there when the input path was expanded") from error
    except (pa.ArrowException, OSError) as error:
        hint = _TEXT_HINT if "magic bytes" in str(error) else ""
        raise DataError(f"{file.name}: cannot be read as {kind}: {_line_of(error)}{hint}") from error
    except Exception as error:
        if isinstance(file.filesystem, pafs.LocalFileSystem):
            raise
        raise DataError(f"{file.name}: cannot be read: {_line_of(error)}") from error


def expand(patterns: str) -> list[InputFile]:
    """List the files of a comma list of files, folders and globs, those of each sorted by name.

    Raises:
        DataError: one of them matches no file.
    """
    files = [file for pattern in split_commas(patterns) for file in _expand_glob(pattern)]
    if not files:
        raise DataError("the input path is empty; give a file, a glob such as data/train/*.parquet, or a comma list")
    return files


def _expand_glob(pattern: str) -> list[InputFile]:
    pattern = without_file_scheme(pattern)
    store, inner = filesystem(pattern)
    if "://" not in pattern:
        matches = glob.glob(pattern, recursive=True)
        names = _data_files(pattern, matches, os.path.isfile, _files_below)
        files = [InputFile(store, name, name) for name in names]
    else:
        protocol = pattern.split("://", 1)[0]
        remote = store.handler.fs
        names = _data_files(inner, remote.glob(inner), remote.isfile, remote.find)
        files = [InputFile(store, name, f"{protocol}://{name.lstrip('/')}") for name in names]
    if not files:
        raise DataError(f'no file matches "{pattern}"{_hint(inner, matches if "://" not in pattern else ())}')
    return files


def _data_files(
    pattern: str,
    matches: Sequence[str],
    is_file: Callable[[str], bool],
    files_below: Callable[[str], Sequence[str]],
) -> list[str]:
    """Select the data files of a glob; where it matches only folders, those below them."""
    if pattern in matches and is_file(pattern):
        return [pattern]
    base = pattern[: _magic_start(pattern)] if glob.has_magic(pattern) else pattern
    can_begin_so = os.path.basename(pattern).startswith(_HIDDEN)
    visible = [name for name in matches if not _is_hidden(name, base, can_begin_so)]
    below = (name for folder in visible for name in files_below(folder))
    files = [name for name in visible if is_file(name)]
    return sorted(files or (name for name in below if not _is_hidden(name, base, False)))


def _magic_start(pattern: str) -> int:
    """Return the length of the folders of a glob before its first wildcard."""
    first = next(i for i, character in enumerate(pattern) if character in "*?[")
    return pattern.rfind("/", 0, first) + 1


def _is_hidden(name: str, base: str, can_begin_so: bool) -> bool:
    """Return true if a part of a path behind its fixed base begins with "_" or "."; `can_begin_so` the last one."""
    parts = (name[len(base) :] if name.startswith(base) else name).split("/")
    return any(part.startswith(_HIDDEN) for part in (parts[:-1] if can_begin_so else parts))


def _files_below(folder: str) -> list[str]:
    """List all files below a folder; links to folders are followed, each folder once."""
    files, visited = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(parent, name)) not in visited]
        files += [os.path.join(parent, name) for name in names]
    return files


def _hint(pattern: str, matches: Sequence[str]) -> str:
    if any(os.path.isdir(name) for name in matches):
        return "; its folders hold no data files (names that begin with _ or . are not data)"
    return "; the files that match begin with _ or . and are not data" if matches else ""
