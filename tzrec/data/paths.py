"""Input paths: comma lists of files, folders and globs, local or fsspec URLs, expanded to files.

A folder stands for the files below it, in sorted order, as Hive and Spark write them: `dt=2024-05-01/part-0.parquet`.
`dt=2024-05-01..2024-05-07` stands for the partition folders of a range, see `hive`.
Names that begin with "_" or "." (`_SUCCESS`, `_metadata`, `.part-0.crc`, `_temporary/`) are not data; such a file is
read only where its path is given in full.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from tzrec.config.comma_list import split_commas
from tzrec.data.hive import PartitionRange, Partitions, partitions_of, refuse_bracket_ranges
from tzrec.errors import DataError, TzrecError, first_line
from tzrec.storage.url import protocol_problem, without_file_scheme


@dataclass(frozen=True)
class FileVersion:
    """Size and time of the last change of a file; a store that keeps no times leaves `modified_ns` None."""

    size: int
    modified_ns: int | None


_HIDDEN = ("_", ".")
_READ_AHEAD_BYTES = 64 << 10
"""Bytes that a file of a store fetches behind those that are read."""


@dataclass(frozen=True)
class InputFile:
    """One input file.

    Attributes:
        filesystem: that contains it.
        path: inside the filesystem.
        name: path or URL for messages.
        partitions: columns with one value for all rows of the file, which its folders or its table give.
        listed: version when the file was listed; None if the listing did not report it.
    """

    filesystem: pafs.FileSystem
    path: str
    name: str
    partitions: Partitions = ()
    listed: FileVersion | None = field(default=None, compare=False)

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

    A missing file stays a FileNotFoundError and an existing one a FileExistsError, by which callers recognize them.
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
            except (FileNotFoundError, FileExistsError, TzrecError):  # which callers recognize
                raise
            except Exception as error:
                raise DataError(_cannot_open(self._url, error)) from error

        return call


class _StoreHandler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """An fsspec filesystem for Arrow, whose files read little more than they are asked for.

    By default a read of any size fetches up to 50 MB behind it (s3fs), which suits reading whole files in small steps.
    """

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(self.fs.open(path, mode="rb", block_size=_READ_AHEAD_BYTES), mode="r")


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem of a local path or URL, and the path inside it.

    Raises:
        DataError: the URL's protocol is unknown, its package is not installed, or the filesystem cannot be reached.
    """
    path = without_file_scheme(path)
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    problem = protocol_problem(path)
    if problem:
        raise DataError(f'cannot open "{path}": {problem}')
    import fsspec  # imported for URLs only

    try:
        remote, inner = fsspec.core.url_to_fs(path)
    except Exception as error:  # of any class: each filesystem has its own
        raise DataError(_cannot_open(path, error)) from error
    return pafs.PyFileSystem(_StoreHandler(_NamedErrors(remote, path))), inner


def absolute(path: str) -> str:
    """Return a path or URL that other processes read as well, whatever their folder."""
    path = without_file_scheme(path)
    return path if "://" in path else os.path.abspath(path)


def _cannot_open(path: str, error: Exception) -> str:
    return f'cannot open "{path}": {_line_of(error)}'


def _line_of(error: Exception) -> str:
    """Format an error of another library on one line, with its class."""
    text, kind = first_line(error), type(error).__name__
    return text if text == kind else f"{text} ({kind})"


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
        raise DataError(f"{file.name}: cannot be read as {kind}: {_line_of(error)}") from error
    except Exception as error:
        if isinstance(file.filesystem, pafs.LocalFileSystem):
            raise
        raise DataError(f"{file.name}: cannot be read: {_line_of(error)}") from error


def expand(patterns: str) -> list[InputFile]:
    """List the files of a comma list of files, folders, globs and ranges of partitions, those of each sorted by name.

    Raises:
        DataError: one of them matches no file, or a range is malformed.
    """
    items = split_commas(patterns)
    refuse_bracket_ranges(items)
    files = [file for item in items for file in _expand_item(without_file_scheme(item))]
    if not files:
        raise DataError("the input path is empty; give a file, a glob such as data/train/*.parquet, or a comma list")
    return files


def _expand_item(pattern: str) -> list[InputFile]:
    filesystem_, inner = filesystem(pattern)
    protocol, colon, _ = pattern.partition("://")
    store = _RemoteListing(filesystem_.handler.fs) if colon else _LocalListing()
    base = inner[: _magic_start(inner)] if glob.has_magic(inner) else f"{inner.rstrip('/')}/"
    if None in store.matches(f"{glob.escape(base)}_delta_log").values():  # a folder
        raise DataError(
            f'"{pattern}" is a Delta Lake table, whose files also hold rows that were deleted; set '
            "data_config.dataset_type to DeltaDataset and give the folder of the table"
        )
    version_by_path: _Versions = {}
    for concrete in _without_ranges(store, inner, pattern):
        version_by_path |= _data_files(store, concrete)
    if not version_by_path:
        raise DataError(f'no file matches "{pattern}"{_hint(store, inner)}')
    return [
        InputFile(
            filesystem_, path, f"{protocol}://{path.lstrip('/')}" if colon else path, partitions_of(path), version
        )
        for path, version in sorted(version_by_path.items())
    ]


_Versions = dict[str, FileVersion | None]
"""Version of each file by its path; None of a folder."""


class _LocalListing:
    """Listing of local files."""

    def matches(self, pattern: str) -> _Versions:
        """List what matches a glob."""
        return {name: _local_version(name) for name in glob.glob(pattern, recursive=True)}

    def below(self, folder: str) -> _Versions:
        """List all files below a folder."""
        return {name: _local_version(name) for name in _files_below(folder)}


def _local_version(name: str) -> FileVersion | None:
    try:
        status = os.stat(name)
    except OSError:
        return None
    return FileVersion(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


class _RemoteListing(_LocalListing):
    """Listing of the files of an fsspec filesystem; a listing brings the versions, so that no file is asked for its."""

    def __init__(self, remote: Any) -> None:
        self._remote = remote

    def matches(self, pattern: str) -> _Versions:
        return self._versions(self._remote.glob(pattern, detail=True))

    def below(self, folder: str) -> _Versions:
        return self._versions(self._remote.find(folder, detail=True))

    def _versions(self, listing: Any) -> _Versions:
        is_detailed = isinstance(listing, dict)  # some filesystems list names only
        infos = listing if is_detailed else {name: self._remote.info(name) for name in listing}
        return {name: _remote_version(info) for name, info in infos.items()}


def _remote_version(info: Mapping[str, Any]) -> FileVersion | None:
    """Return the version that `InputFile.version` returns for the same file."""
    if info["type"] != "file":
        return None
    modified_ns = pafs.FileInfo(info["name"], pafs.FileType.File, mtime=info.get("mtime")).mtime_ns
    return FileVersion(info["size"] or 0, modified_ns)


def _without_ranges(listing: _LocalListing, pattern: str, given: str) -> list[str]:
    """Replace each range of partitions in a glob by the folders in it.

    Args:
        listing: lists the folders.
        pattern: the glob, inside its filesystem.
        given: path or URL for messages.

    Raises:
        DataError: a malformed range, or one that contains no folder.
    """
    folders = pattern.split("/")
    ranges = ((index, PartitionRange.parse(folder)) for index, folder in enumerate(folders))
    index, chosen = next(((index, item) for index, item in ranges if item), (0, None))
    if chosen is None:
        return [pattern]
    parent, rest = "/".join(folders[:index]), folders[index + 1 :]
    value_by_name: dict[str, str | None] = {}
    for name in listing.matches("/".join([*folders[:index], f"{chosen.key}=*"])):
        ((_, value),) = partitions_of(f"{name.rstrip('/').rpartition('/')[2]}/")
        value_by_name[name.rstrip("/")] = value
    inside = [name for name, value in sorted(value_by_name.items()) if value in chosen]
    if not inside:
        raise DataError(f'no file matches "{given}"{chosen.no_match_text(list(value_by_name.values()), parent)}')
    return [
        concrete
        for name in inside
        for concrete in _without_ranges(listing, "/".join([glob.escape(name), *rest]), given)
    ]


def _data_files(listing: _LocalListing, pattern: str) -> _Versions:
    """Select the data files of a glob; where it matches only folders, those below them."""
    matches = listing.matches(pattern)
    if matches.get(pattern):
        return {pattern: matches[pattern]}
    base = pattern[: _magic_start(pattern)] if glob.has_magic(pattern) else pattern
    can_begin_so = os.path.basename(pattern).startswith(_HIDDEN)
    visible = {name: version for name, version in matches.items() if not _is_hidden(name, base, can_begin_so)}
    files: _Versions = {name: version for name, version in visible.items() if version}
    if files:
        return files
    below = (item for folder in visible for item in listing.below(folder).items())
    return {name: version for name, version in below if version and not _is_hidden(name, base, False)}


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


def _hint(listing: _LocalListing, pattern: str) -> str:
    matches = {} if "=" in pattern and ".." in pattern else listing.matches(pattern)
    if any(version is None for version in matches.values()):
        return "; its folders hold no data files (names that begin with _ or . are not data)"
    return "; the files that match begin with _ or . and are not data" if matches else ""
