"""Writers of part files, each published by a rename when it is complete."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as pacsv

from tzrec.data.atomic import AtomicFile, naming
from tzrec.data.paths import filesystem
from tzrec.errors import DataError

Self = TypeVar("Self", bound="Writer")


class Writer(ABC):
    """Writer of tables with one schema to `<directory>/<name>.<extension>`.

    The file has a temporary, hidden name until `close`. As a context manager, it removes the file on an exception.
    """

    extension: str

    def __init__(self, directory: str, name: str, is_synced: bool = False) -> None:
        store, inner = filesystem(directory)
        store.create_dir(inner, recursive=True)
        self._file = AtomicFile(f"{directory}/{name}.{self.extension}", is_synced)
        self._sink: pa.NativeFile | None = None
        self._out: Any = None

    @abstractmethod
    def _open(self, sink: pa.NativeFile, schema: pa.Schema) -> Any:
        """Create the Arrow writer of this format."""

    def _convert(self, table: pa.Table) -> pa.Table:
        """Convert a table to types that the format supports."""
        return table

    def write(self, table: pa.Table) -> None:
        """Append rows; the first table determines the schema.

        Raises:
            ValueError: the schema differs from the first one, which would crash Arrow's CSV writer.
        """
        table = self._convert(table)
        if self._sink is None:
            self._schema = table.schema
            with naming(self._file.path):
                self._sink = self._file.open()
                self._out = self._open(self._sink, table.schema)
        if table.schema != self._schema:
            raise ValueError(f"rows with the columns {table.schema} cannot follow rows with {self._schema}")
        with naming(self._file.path):
            self._out.write_table(table)

    def close(self) -> None:
        """Publish the file; without rows written, no file is created."""
        if self._sink is None:
            return
        try:
            with naming(self._file.path):
                self._finish()
                self._file.publish()
        except BaseException:  # such as a full disk
            self._file.discard()
            raise

    def _finish(self) -> None:
        assert self._sink is not None
        if self._out is not None:  # None if the format refused the schema
            self._out.close()
        self._sink.close()

    def abort(self) -> None:
        """Remove the file."""
        if self._sink is not None:
            with suppress(OSError):  # of a full disk, on which this file was to be written
                self._finish()
            self._file.discard()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class ParquetWriter(Writer):
    """Writer of Parquet files."""

    extension = "parquet"

    def _open(self, sink: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
        return pq.ParquetWriter(sink, schema)


class CsvWriter(Writer):
    """Writer of CSV files with a header. Lists become JSON text: `[0.25, 0.5]` is the cell `"[0.25,0.5]"`.

    Binary values are written where they are UTF-8 text; CSV has no other form for them.
    """

    extension = "csv"

    def _open(self, sink: pa.NativeFile, schema: pa.Schema) -> pacsv.CSVWriter:
        return pacsv.CSVWriter(sink, schema)

    def _convert(self, table: pa.Table) -> pa.Table:
        for index, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
            try:
                if pa.types.is_nested(column.type):
                    table = table.set_column(index, name, _json(column))
                elif "binary" in str(column.type) or isinstance(column.type, pa.BaseExtensionType):
                    storage = column.type.storage_type if isinstance(column.type, pa.BaseExtensionType) else column.type
                    table = table.set_column(index, name, column.cast(storage).cast(pa.string()))
            except (pa.ArrowException, TypeError, ValueError) as error:
                raise DataError(
                    f'column "{name}" is {column.type}, which CSV cannot hold: {error}; write Parquet '
                    "(--writer_type ParquetWriter), or leave the column out"
                ) from error
        return table


def _json(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Format nested values as JSON text; lists of numbers, the common case, without a Python loop.

    Raises:
        TypeError: there are bytes among them.
    """
    kind = column.type
    if pa.types.is_list(kind) and pa.types.is_temporal(kind.value_type):
        column = column.cast(pa.list_(pa.string()))
    elif pa.types.is_list(kind) and _is_number(kind.value_type) and not pc.list_flatten(column).null_count:
        inner = pc.binary_join(column.cast(pa.list_(pa.string())), ",")
        return pc.binary_join_element_wise("[", inner, "]", "")
    encode = partial(json.dumps, ensure_ascii=False, default=_to_text)
    rows = [None if row is None else encode(row) for row in column.to_pylist()]
    return pa.chunked_array([pa.array(rows, pa.string())])


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _to_text(value: object) -> str:
    """Format a value that JSON has no type for: decimals and times."""
    if isinstance(value, bytes):
        raise TypeError("bytes are not text")
    return str(value)


_WRITERS: dict[str, type[Writer]] = {"parquet": ParquetWriter, "csv": CsvWriter}


def open_writer(directory: str, name: str, kind: str, is_synced: bool = False) -> Writer:
    """Open a writer of kind "parquet" or "csv" for a file; `name` is without extension."""
    return _WRITERS[kind](directory, name, is_synced)
