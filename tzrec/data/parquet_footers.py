"""Footers of Parquet files: read once, before the first row, and compared with each other and with the files later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tzrec.data.paths import FileVersion, InputFile, reading
from tzrec.errors import DataError
from tzrec.features.column_types import common_type, decoded_type

_THREADS = 8
_MAX_LISTED = 10
_MAX_EXACT_FLOAT = 1 << 53


@dataclass(frozen=True)
class Footer:
    """Content of the footer of one file.

    Attributes:
        file: the file.
        schema: types as they are stored.
        group_rows: rows of each row group `(groups,)`.
        version: of the file when its footer was read.
    """

    file: InputFile
    schema: pa.Schema
    group_rows: npt.NDArray[np.int64]
    version: FileVersion

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return int(self.group_rows.sum())


@contextmanager
def open_parquet(file: InputFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; all errors name it. Pages that were written with a checksum are verified."""
    with (
        reading(file, "Parquet"),
        file.filesystem.open_input_file(file.path) as raw,
        pq.ParquetFile(raw, page_checksum_verification=True) as parquet,
    ):
        yield parquet


def read_footers(files: Sequence[InputFile]) -> list[Footer]:
    """Read the footers of all files, on several threads.

    Raises:
        DataError: a file cannot be read.
    """
    if len(files) == 1:
        return [_read_footer(files[0])]
    with ThreadPoolExecutor(min(_THREADS, len(files))) as pool:
        footers = list(pool.map(_read_footer, files))
    schemas: list[pa.Schema] = []  # files mostly have one schema: keep it once
    return [_with_known_schema(footer, schemas) for footer in footers]


def _read_footer(file: InputFile) -> Footer:
    version = file.version()
    with open_parquet(file) as parquet:
        return Footer(file, parquet.schema_arrow, _group_rows(parquet), version)


def _with_known_schema(footer: Footer, schemas: list[pa.Schema]) -> Footer:
    for schema in reversed(schemas[-_MAX_LISTED:]):
        if footer.schema.equals(schema):
            return replace(footer, schema=schema)
    schemas.append(footer.schema)
    return footer


@dataclass(frozen=True)
class CommonSchema:
    """Types that hold the columns of all files.

    Attributes:
        schema: one field per column.
        notes: columns that are numbers of another kind in some files, where the values decide if they can be read.
    """

    schema: pa.Schema
    notes: tuple[str, ...]


def unify(columns: Sequence[str], footers: Sequence[Footer]) -> CommonSchema:
    """Determine the type of each column: that of the first file that has one, wide enough for all files.

    Args:
        columns: names that every file has once.
        footers: of all files.

    Raises:
        DataError: lists the columns whose types in two files have nothing in common.
    """
    fields, notes, problems = [], [], []
    for name in columns:
        first = _first_typed(name, footers)
        common = decoded_type(first.schema.field(name).type)
        checked: list[pa.Schema] = []
        for footer in footers:
            if any(footer.schema is schema for schema in checked):
                continue
            kind = decoded_type(footer.schema.field(name).type)
            merged = common_type(common, kind)
            if merged is None or _has_other_values(footer, name, merged):
                problems.append(mismatch(footer.file, name, kind, common, first.file))
            else:
                if _is_decided_by_values(kind, merged):
                    notes.append(
                        f'{footer.file.name}: column "{name}" is {kind}, read as {merged} of {first.file.name}'
                    )
                else:
                    checked.append(footer.schema)
                common = merged
        fields.append((name, pa.string() if pa.types.is_null(common) else common))
    if problems:
        more = [f"and {len(problems) - _MAX_LISTED:,} more"] if len(problems) > _MAX_LISTED else []
        lines = [*problems[:_MAX_LISTED], *more, "All files of an input path need the same types"]
        raise DataError("\n".join(lines))
    return CommonSchema(pa.schema(fields), tuple(notes))


def mismatch(file: InputFile, name: str, kind: pa.DataType, expected: pa.DataType, first: InputFile) -> str:
    """Describe a column whose type is not that of an earlier file."""
    return f'{file.name}: column "{name}" is {kind}, but {expected} in {first.name}'


def _first_typed(name: str, footers: Sequence[Footer]) -> Footer:
    """Find the first file in which a column is not of the type null."""
    return next((footer for footer in footers if not pa.types.is_null(footer.schema.field(name).type)), footers[0])


def _is_decided_by_values(kind: pa.DataType, target: pa.DataType) -> bool:
    types = pa.types
    is_float = [types.is_floating(kind), types.is_floating(target)]
    is_integer = [types.is_integer(kind) or types.is_boolean(kind), types.is_integer(target)]
    return bool((is_float[0] and is_integer[1]) or (is_integer[0] and is_float[1]))


def _has_other_values(footer: Footer, name: str, target: pa.DataType) -> bool:
    """Return true if the range of a column in the footer shows that not all of its values fit another kind of number.

    Only the footer is read: values within the range are checked when they are read.
    """
    if not _is_decided_by_values(decoded_type(footer.schema.field(name).type), target):
        return False
    with open_parquet(footer.file) as parquet:
        bounds = [bound for bound in _bounds(parquet, name) if np.isfinite(bound)]
    if pa.types.is_floating(target):
        return any(abs(bound) > _MAX_EXACT_FLOAT for bound in bounds)
    return any(bound != int(bound) for bound in bounds)


def _bounds(parquet: pq.ParquetFile, name: str) -> Iterator[float]:
    """Yield the least and the greatest value of a column in each row group, if the footer has them."""
    metadata = parquet.metadata
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.path_in_schema == name and column.is_stats_set and column.statistics.has_min_max:
                yield from (column.statistics.min, column.statistics.max)


def _group_rows(parquet: pq.ParquetFile) -> npt.NDArray[np.int64]:
    metadata = parquet.metadata
    return np.array([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)], np.int64)
