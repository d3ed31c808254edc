"""Types of the columns of all files of a path, compared before the first row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tzrec.data.columnar_format import ColumnarFormat
from tzrec.data.paths import InputFile
from tzrec.data.table_file import TableFile
from tzrec.errors import DataError
from tzrec.features.column_types import common_type, decoded_type

_MAX_LISTED = 10
_MAX_EXACT_FLOAT = 1 << 53


@dataclass(frozen=True)
class CommonSchema:
    """Types that hold the columns of all files.

    Attributes:
        schema: one field per column.
        notes: columns that are numbers of another kind in some files, where the values decide if they can be read.
    """

    schema: pa.Schema
    notes: tuple[str, ...]


def unify(columns: Sequence[str], tables: Sequence[TableFile], file_format: ColumnarFormat) -> CommonSchema:
    """Determine the type of each column: that of the first file that has one, wide enough for all files.

    Args:
        columns: names that every file has once.
        tables: all files.
        file_format: their format.

    Raises:
        DataError: lists the columns whose types in two files have nothing in common.
    """
    tables_by_schema: dict[int, list[TableFile]] = {}
    for table in tables:
        tables_by_schema.setdefault(id(table.schema), []).append(table)
    fields, notes, problems = [], [], []
    for name in columns:
        first = _first_typed(name, [alike[0] for alike in tables_by_schema.values()])
        common = decoded_type(first.schema.field(name).type)
        for alike in tables_by_schema.values():
            kind = decoded_type(alike[0].schema.field(name).type)
            merged = common_type(common, kind)
            is_by_values = merged is not None and _is_decided_by_values(kind, merged)
            for table in alike if is_by_values else alike[:1]:
                if merged is None or (is_by_values and _has_other_values(table, name, merged, file_format)):
                    problems.append(mismatch(table.file, name, kind, common, first.file))
                elif is_by_values:
                    note = f'column "{name}" is {kind}, read as {merged} of {first.file.name}'
                    notes.append(f"{table.file.name}: {note}")
            common = merged or common
        fields.append((name, pa.string() if pa.types.is_null(common) else common))
    if problems:
        more = [f"and {len(problems) - _MAX_LISTED:,} more"] if len(problems) > _MAX_LISTED else []
        lines = [*problems[:_MAX_LISTED], *more, "All files of an input path need the same types"]
        raise DataError("\n".join(lines))
    return CommonSchema(pa.schema(fields), tuple(notes))


def mismatch(file: InputFile, name: str, kind: pa.DataType, expected: pa.DataType, first: InputFile) -> str:
    """Describe a column whose type is not that of an earlier file."""
    return f'{file.name}: column "{name}" is {kind}, but {expected} in {first.name}'


def _first_typed(name: str, tables: Sequence[TableFile]) -> TableFile:
    """Find the first file in which a column is not of the type null."""
    return next((table for table in tables if not pa.types.is_null(table.schema.field(name).type)), tables[0])


def _is_decided_by_values(kind: pa.DataType, target: pa.DataType) -> bool:
    types = pa.types
    is_float = [types.is_floating(kind), types.is_floating(target)]
    is_integer = [types.is_integer(kind) or types.is_boolean(kind), types.is_integer(target)]
    return bool((is_float[0] and is_integer[1]) or (is_integer[0] and is_float[1]))


def _has_other_values(table: TableFile, name: str, target: pa.DataType, file_format: ColumnarFormat) -> bool:
    """Return true if the range of a column in the footer shows that not all of its values fit another kind of number.

    Only the footer is read: values within the range are checked when they are read.
    """
    if name in table.constants:
        return False
    with file_format.opened(table.file) as opened:
        bounds = [bound for bound in opened.bounds(table.stored_name(name)) if np.isfinite(bound)]
    if pa.types.is_floating(target):
        return any(abs(bound) > _MAX_EXACT_FLOAT for bound in bounds)
    return any(bound != int(bound) for bound in bounds)
