"""TableFile: columns of one file of a table: stored ones, and those whose one value its folders or the table give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from tzrec.data.footers import Footer
from tzrec.data.hive import cast_partition, partition_types
from tzrec.data.paths import InputFile


@dataclass(frozen=True, eq=False)
class TableFile:
    """Columns of one file.

    Attributes:
        file: the file.
        footer: its content.
        schema: all columns: those that are stored, then those of the folders. Files with equal ones share the object.
        constants: columns with one value for all rows.
        stored_names: name inside the file, of the columns that have another one there.
    """

    file: InputFile
    footer: Footer
    schema: pa.Schema
    constants: Mapping[str, pa.Scalar] = field(default_factory=dict)
    stored_names: Mapping[str, str] = field(default_factory=dict)

    def stored_name(self, column: str) -> str:
        """Return the name of a column inside the file."""
        return self.stored_names.get(column, column)


def with_partitions(
    files: Sequence[InputFile], footers: Sequence[Footer], declared: Mapping[str, pa.DataType]
) -> list[TableFile]:
    """Add the columns of the partition folders to those of the files; a column of a file precedes that of a folder.

    Args:
        files: with their partitions.
        footers: of each file.
        declared: types of data_config.input_fields.

    Raises:
        DataError: the value of a folder is not of the declared type.
    """
    types = partition_types([file.partitions for file in files], declared)
    schemas: dict[tuple[int, tuple[str, ...]], pa.Schema] = {}
    scalars: dict[tuple[str, str | None], pa.Scalar] = {}
    tables = []
    for file, footer in zip(files, footers, strict=True):
        pairs = [pair for pair in file.partitions if pair[0] not in footer.schema.names]
        if not pairs:
            tables.append(TableFile(file, footer, footer.schema))
            continue
        for pair in pairs:
            if pair not in scalars:
                scalars[pair] = cast_partition(*pair, types[pair[0]], file.name)
        key = id(footer.schema), tuple(name for name, _ in pairs)
        if key not in schemas:
            schemas[key] = pa.schema([*footer.schema, *(pa.field(name, types[name]) for name, _ in pairs)])
        tables.append(TableFile(file, footer, schemas[key], {pair[0]: scalars[pair] for pair in pairs}))
    return tables


def shadowed_partitions(tables: Sequence[TableFile], columns: Sequence[str]) -> tuple[str, ...]:
    """Describe the columns read from files whose folders have a column of the same name."""
    notes: dict[str, str] = {}
    for table in tables:
        for key, _ in table.file.partitions:
            if key in columns and key not in table.constants and key not in notes:
                notes[key] = f'{table.file.name}: column "{key}" is read from the file, not from its folder "{key}=..."'
    return tuple(notes.values())
