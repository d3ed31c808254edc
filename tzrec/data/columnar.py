"""ColumnarReader: files of a columnar format, block by block, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.columnar_format import ColumnarFormat, FilePool
from tzrec.data.common_schema import mismatch, unify
from tzrec.data.footers import read_footers
from tzrec.data.listing import FileListing
from tzrec.data.null_words import is_text, without_words
from tzrec.data.paths import InputFile, expand
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, RowLocation, require_columns
from tzrec.data.table_file import TableFile, shadowed_partitions, with_partitions
from tzrec.data.text_schema import declared_types
from tzrec.errors import DataError
from tzrec.features.column_types import decode


class ColumnarReader(Reader):
    """Reader of columnar files. Row numbers come from the footers: a range is read without the blocks before it.

    A column has the type of the first file that has one, wide enough for all files. It is stored values, not numbers
    for the model: `features.column_types` describes how features and labels read each type.

    Attributes:
        file_format: format of the files.
    """

    file_format: ClassVar[ColumnarFormat]
    _tables: list[TableFile]

    def for_file(self, index: int) -> ColumnarReader:
        reader = cast(ColumnarReader, super().for_file(index))
        reader._tables = [self._tables[index]]
        reader._starts = self._starts[index : index + 2] - self._starts[index]
        return reader

    @property
    def folder_columns(self) -> frozenset[str]:
        is_lake = bool(self._listing.tables)
        return frozenset(() if is_lake else (name for table in self._tables for name in table.constants))

    def block_starts(self) -> npt.NDArray[np.int64]:
        rows = np.concatenate([table.footer.block_rows for table in self._tables])
        return _starts(rows[rows > 0])

    def _list_files(self, path: str, advance: Callable[[], None]) -> FileListing:
        files = expand(path)
        return FileListing(files, read_footers(files, self.file_format, advance))

    def _open_files(self) -> Sequence[str]:
        self._pool = FilePool(self.file_format)
        self._tables = self._table_files()
        self._starts = _starts(np.array([table.footer.num_rows for table in self._tables]))  # (files + 1,)
        return [str(name) for name in self._tables[0].schema.names]

    def _table_files(self) -> list[TableFile]:
        return with_partitions(self.files, self._listing.footers, declared_types(self.config))

    def _choose(self, columns: Sequence[str] | None) -> None:
        super()._choose(columns)
        for table in {id(table.schema): table for table in reversed(self._tables)}.values():
            require_columns(self.columns, table.schema.names, table.file)
        common = unify(self.columns, self._tables, self.file_format)
        self.schema, self.notes = common.schema, (*common.notes, *shadowed_partitions(self._tables, self.columns))
        if self.config.null_values:  # words become nulls in plain text, whatever its layout
            fields = [field.with_type(pa.string()) if is_text(field.type) else field for field in self.schema]
            self.schema = pa.schema(fields)

    @property
    def num_rows(self) -> int:
        return int(self._starts[-1])

    @property
    def rows_by_file(self) -> list[int]:
        return np.diff(self._starts).tolist()  # type: ignore[no-any-return]

    def count(self) -> int:
        return self.num_rows

    def read(self, start: int = 0, stop: int | None = None, piece_rows: int = PIECE_ROWS) -> Iterator[Piece]:
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        first_file = int(np.searchsorted(self._starts, start, side="right")) - 1
        for index in range(first_file, len(self.files)):
            offset = int(self._starts[index])
            if offset >= stop:
                return
            for row, batch in self._read_file(self._tables[index], max(0, start - offset), stop - offset, piece_rows):
                yield Piece(batch, offset + row)

    def _read_file(
        self, table: TableFile, begin: int, end: int, piece_rows: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows `begin` to `end - 1` of a file with their first row, reading only the blocks that have any."""
        end = min(end, table.footer.num_rows)
        if begin >= end:
            return
        stored = [table.stored_name(name) for name in self.columns if name not in table.constants]
        if not stored:
            for row in range(begin, end, piece_rows):
                yield row, self._batch(table, {}, min(piece_rows, end - row))
            return
        bounds = _starts(table.footer.block_rows)
        first = int(np.searchsorted(bounds, begin, side="right")) - 1
        after = int(np.searchsorted(bounds, end, side="left"))
        row = int(bounds[first])
        with self._pool.lend(table.file, table.footer.version) as opened:
            for batch in opened.read(first, after, list(dict.fromkeys(stored)), piece_rows):
                low, high = max(begin, row), min(end, row + batch.num_rows)
                if low < high:
                    part = batch.slice(low - row, high - low)
                    yield low, self._batch(table, dict(zip(part.schema.names, part.columns)), part.num_rows)
                row += batch.num_rows
                if row >= end:
                    return

    def _batch(self, table: TableFile, arrays: dict[str, pa.Array], rows: int) -> pa.RecordBatch:
        """Assemble the columns of some rows of a file, in the types that all files have."""
        if not self.columns:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        columns = []
        for field in self.schema:
            constant = table.constants.get(field.name)
            if constant is not None:
                is_null = not constant.is_valid
                columns.append(pa.nulls(rows, field.type) if is_null else pa.repeat(constant.cast(field.type), rows))
            else:
                array = arrays[table.stored_name(field.name)]
                if array.type != field.type:
                    array = _cast_column(array, field, table.file, self.files[0])
                columns.append(without_words(array, self.config.null_values))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def locate(self, row: int) -> RowLocation:
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        return RowLocation(self.files[index].name, row - int(self._starts[index]) + 1)


def _starts(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """First row of each of consecutive ranges, and the number of rows `(ranges + 1,)`."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _cast_column(array: pa.Array, field: pa.Field, file: InputFile, first: InputFile) -> pa.Array:
    """Cast a column to its type in all files."""
    array = decode(array)
    try:
        return array if array.type == field.type else array.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(f"{mismatch(file, field.name, array.type, field.type, first)}: {error}") from error
