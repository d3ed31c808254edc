"""Identity of the data of an epoch: the files in their order, and the settings that number and shuffle their rows.

A position in the data is a number of rows, so it has a meaning only together with this identity.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.fs as pafs

from tzrec.data.paths import InputFile
from tzrec.data.reader import Reader
from tzrec.errors import DataError
from tzrec.formatting import format_bytes
from tzrec.protos import data_pb2

_SAMPLE_BYTES = 1 << 16
_SHUFFLE_FIELDS = ("shuffle", "shuffle_buffer_size")
_ROW_FIELDS = ("dataset_type", "with_header", "delimiter")
_MAX_LINES = 10


@dataclass(frozen=True)
class FileIdentity:
    """Identity of one file.

    Attributes:
        name: absolute path or URL.
        size: in bytes.
        rows: None if it is unknown before reading (text).
        modified: time of the last change in nanoseconds; None if the filesystem does not report it.
        digest: SHA-256 of the first and the last 64 KiB; empty for remote files.
    """

    name: str
    size: int
    rows: int | None = None
    modified: int | None = None
    digest: str = ""

    @classmethod
    def of(cls, file: InputFile, rows: int | None) -> FileIdentity:
        """Describe a file; reads a sample of a local one.

        Raises:
            DataError: the file is gone or cannot be read.
        """
        version = file.listed or file.version()
        if not isinstance(file.filesystem, pafs.LocalFileSystem):
            return cls(file.name, version.size, rows, version.modified_ns)
        digest = _sample_digest(file, version.size)
        return cls(os.path.abspath(file.path), version.size, rows, version.modified_ns, digest)

    @property
    def content(self) -> tuple[object, ...]:
        """Key that equal content has in common: a copy or a renamed file counts as the same."""
        return (self.size, self.digest) if self.digest else (self.name, self.size, self.modified)

    def __str__(self) -> str:
        rows = "" if self.rows is None else f"{self.rows:,} rows, "
        return f"{self.name} ({rows}{format_bytes(self.size)})"


@dataclass(frozen=True)
class DataIdentity:
    """Identity of the data of an epoch.

    Attributes:
        files: in reading order.
        settings: field of the config -> value, of the seed and of the fields that number the rows.
        shuffle: field of the config -> value, of the fields whose change takes effect with the next epoch.
        tables: table of a lake -> the same with the version that is read.
    """

    files: tuple[FileIdentity, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    shuffle: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, reader: Reader, seed: int) -> DataIdentity:
        """Describe the files of a reader."""
        rows: Sequence[int | None] = reader.rows_by_file or [None] * len(reader.files)
        files = tuple(FileIdentity.of(file, count) for file, count in zip(reader.files, rows, strict=True))
        settings = {"train_config.seed": str(seed), **_settings(reader.config, _ROW_FIELDS)}
        return cls(files, settings, _settings(reader.config, _SHUFFLE_FIELDS), reader.table_versions)

    @property
    def num_rows(self) -> int | None:
        """Rows of all files; None if unknown."""
        rows = [file.rows for file in self.files]
        return None if None in rows else sum(count or 0 for count in rows)

    def digest(self, *settings: object) -> str:
        """Compute a short digest of the content of the files in their order, and of further settings."""
        parts = [*(file.content for file in self.files), *settings]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DataIdentity:
        files = tuple(FileIdentity(**file) for file in value["files"])
        return cls(files, value["settings"], value["shuffle"], value.get("tables", {}))


@dataclass(frozen=True)
class DataDifference:
    """Difference between the data of a checkpoint and the present data.

    Attributes:
        missing: files of the checkpoint that are no longer read.
        added: files that the checkpoint does not have.
        changed: (before, now) of files with the same name and other content.
        is_reordered: the files that both have are read in another order.
        settings: (field, value before, value now) of `DataIdentity.settings`.
        shuffle: the same of `DataIdentity.shuffle`.
    """

    missing: tuple[FileIdentity, ...] = ()
    added: tuple[FileIdentity, ...] = ()
    changed: tuple[tuple[FileIdentity, FileIdentity], ...] = ()
    is_reordered: bool = False
    settings: tuple[tuple[str, str, str], ...] = ()
    shuffle: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def of(cls, before: DataIdentity, now: DataIdentity) -> DataDifference:
        """Compare the data of a checkpoint with the present data."""
        missing = _without(before.files, now.files)
        added = _without(now.files, before.files)
        added_by_name = {file.name: file for file in added}
        changed = tuple((file, added_by_name[file.name]) for file in missing if file.name in added_by_name)
        names = {file.name for file, _ in changed}
        kept = [_contents(_without(files, lost)) for files, lost in ((before.files, missing), (now.files, added))]
        return cls(
            tuple(file for file in missing if file.name not in names),
            tuple(file for file in added if file.name not in names),
            changed,
            kept[0] != kept[1],
            _changes(before.settings, now.settings),
            _changes(before.shuffle, now.shuffle),
        )

    @property
    def num_new_files(self) -> int:
        """Number of files that the checkpoint does not have."""
        return len(self.added) + len(self.changed)

    @property
    def is_other_epoch(self) -> bool:
        """True if a position in the data before has no meaning in the present data."""
        return bool(self.missing or self.added or self.changed or self.is_reordered or self.settings)

    def lines(self) -> list[str]:
        """One line for each difference, at most ten of a kind."""
        settings = [f"{name}: {before} -> {now}" for name, before, now in self.settings]
        order = ["the files are read in another order"] if self.is_reordered else []
        return [
            *settings,
            *_limited([f"missing: {file}" for file in self.missing]),
            *_limited([f"added: {file}" for file in self.added]),
            *_limited([_change_text(before, now) for before, now in self.changed]),
            *order,
        ]


def _settings(config: data_pb2.DataConfig, names: Sequence[str]) -> dict[str, str]:
    texts = {}
    for name in names:
        value = getattr(config, name)
        is_type = name == "dataset_type"
        texts[f"data_config.{name}"] = data_pb2.DatasetType.Name(value) if is_type else repr(value)
    return texts


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple((name, before[name], now[name]) for name in now if name in before and before[name] != now[name])


def _contents(files: Sequence[FileIdentity]) -> list[tuple[object, ...]]:
    return [file.content for file in files]


def _without(files: Sequence[FileIdentity], other: Sequence[FileIdentity]) -> tuple[FileIdentity, ...]:
    """Return the files whose content is not among other ones; a repeated file is counted."""
    return tuple(_surplus(files, Counter(_contents(other))))


def _surplus(files: Sequence[FileIdentity], counts: Counter[tuple[object, ...]]) -> Iterator[FileIdentity]:
    for file in files:
        if counts[file.content]:
            counts[file.content] -= 1
        else:
            yield file


def _change_text(before: FileIdentity, now: FileIdentity) -> str:
    old, new = (str(file).removeprefix(f"{file.name} (").removesuffix(")") for file in (before, now))
    return f"changed: {now.name}: {old} -> {new}" if old != new else f"changed: {now.name}: other content, {new}"


def _limited(lines: list[str]) -> list[str]:
    rest = len(lines) - _MAX_LINES
    return lines if rest <= 0 else [*lines[:_MAX_LINES], f"{lines[0].partition(':')[0]}: {rest:,} more"]


def _sample_digest(file: InputFile, size: int) -> str:
    """Compute the digest of the first and the last bytes of a local file."""
    digest = hashlib.sha256()
    try:
        with open(file.path, "rb") as stream:
            digest.update(stream.read(_SAMPLE_BYTES))
            if size > _SAMPLE_BYTES:
                stream.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES))
                digest.update(stream.read(_SAMPLE_BYTES))
    except OSError as error:
        raise DataError(f"{file.name}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
