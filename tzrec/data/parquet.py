"""ParquetReader: Parquet files, row group by row group, in slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.parquet_footers import Footer, mismatch, open_parquet, read_footers, unify
from tzrec.data.paths import InputFile
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, RowLocation, require_columns
from tzrec.errors import DataError
from tzrec.features.column_types import decode


class ParquetReader(Reader):
    """Reader of Parquet files. Row numbers come from the metadata: starting at a row reads no row group before it.

    A column has the type of the first file that has one, wide enough for all files. It is stored values, not numbers
    for the model: `features.column_types` describes how features and labels read each type.
    """

    _footers: list[Footer]

    def for_file(self, index: int) -> ParquetReader:
        reader = cast(ParquetReader, super().for_file(index))
        reader._footers = [self._footers[index]]
        reader._starts = self._starts[index : index + 2] - self._starts[index]
        return reader

    def block_starts(self) -> npt.NDArray[np.int64]:
        return _starts(np.concatenate([footer.group_rows for footer in self._footers]))

    def _open_files(self) -> Sequence[str]:
        self._footers = read_footers(self.files)
        self._starts = _starts([footer.num_rows for footer in self._footers])  # (files + 1,)
        return [str(name) for name in self._footers[0].schema.names]

    def _choose(self, columns: Sequence[str] | None) -> None:
        super()._choose(columns)
        checked: list[pa.Schema] = []
        for footer in self._footers:
            if not any(footer.schema is schema for schema in checked):
                require_columns(self.columns, footer.schema.names, footer.file)
                checked.append(footer.schema)
        common = unify(self.columns, self._footers)
        self.schema, self.notes = common.schema, common.notes

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
        last_file = int(np.searchsorted(self._starts, stop))
        for index in range(first_file, last_file):
            first, after = max(start, int(self._starts[index])), min(stop, int(self._starts[index + 1]))
            if first < after:
                yield from self._read_file(index, first, after, piece_rows)

    def _read_file(self, index: int, start: int, stop: int, piece_rows: int) -> Iterator[Piece]:
        """Yield the rows `start` to `stop`, all of one file, from the row groups that overlap them."""
        file, footer = self.files[index], self._footers[index]
        bounds = int(self._starts[index]) + _starts(footer.group_rows)
        first_group = int(np.searchsorted(bounds, start, side="right")) - 1
        groups = range(first_group, int(np.searchsorted(bounds, stop)))
        row = int(bounds[first_group])
        with open_parquet(file) as parquet:
            file.ensure_unchanged(footer.version)
            for batch in parquet.iter_batches(piece_rows, groups, list(self.columns), use_threads=False):
                after = row + batch.num_rows
                if after > start:
                    first = max(start, row)
                    yield Piece(self._cast(batch.slice(first - row, min(stop, after) - first), file), first)
                if after >= stop:
                    return
                row = after

    def _cast(self, batch: pa.RecordBatch, file: InputFile) -> pa.RecordBatch:
        batch = batch.select(list(self.columns))
        if batch.schema.equals(self.schema):
            return batch
        arrays = [_cast_column(batch.column(field.name), field, file, self.files[0]) for field in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def locate(self, row: int) -> RowLocation:
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        return RowLocation(self.files[index].name, row - int(self._starts[index]) + 1)


def _starts(sizes: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """First number of each of consecutive parts, and the total size `(parts + 1,)`."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _cast_column(array: pa.Array, field: pa.Field, file: InputFile, first: InputFile) -> pa.Array:
    """Cast a column to its type in all files."""
    array = decode(array)
    try:
        return array if array.type == field.type else array.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(f"{mismatch(file, field.name, array.type, field.type, first)}: {error}") from error
