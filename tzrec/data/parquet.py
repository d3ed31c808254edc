"""ParquetReader: Parquet files, row group by row group, in slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tzrec.data.paths import InputFile
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, RowLocation, require_columns
from tzrec.errors import DataError
from tzrec.protos import data_pb2


class ParquetReader(Reader):
    """Reader of Parquet files. Row numbers come from the metadata: starting at a row reads no row group before it.

    The first file determines the type of every column. Later files are cast to it if no value changes.
    """

    def __init__(self, config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> None:
        super().__init__(config, path, columns)
        rows = [_metadata_rows(file) for file in self.files]
        self._starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)  # (files + 1,)
        with _open(self.files[0]) as parquet:
            schema = parquet.schema_arrow
        self.schema = pa.schema([(name, plain_type(schema.field(name).type)) for name in self.columns])
        self._first = self.files[0]

    def for_file(self, index: int) -> ParquetReader:
        reader = cast(ParquetReader, super().for_file(index))
        reader._starts = self._starts[index : index + 2] - self._starts[index]
        return reader

    def group_starts(self) -> list[int]:
        with _open(self.files[0]) as parquet:
            return _group_bounds(parquet)[:-1].tolist()  # type: ignore[no-any-return]

    def _names(self, file: InputFile) -> Sequence[str]:
        with _open(file) as parquet:
            return [str(name) for name in parquet.schema_arrow.names]

    @property
    def num_rows(self) -> int:
        return int(self._starts[-1])

    def count(self) -> int:
        return self.num_rows

    def read(self, start: int = 0) -> Iterator[Piece]:
        first_file = int(np.searchsorted(self._starts, start, side="right")) - 1
        for index in range(first_file, len(self.files)):
            yield from self._read_file(index, max(0, start - int(self._starts[index])))

    def _read_file(self, index: int, skip: int) -> Iterator[Piece]:
        """Yield the rows of one file after the first `skip`, without reading the row groups before them."""
        file = self.files[index]
        with _open(file) as parquet:
            require_columns(self.columns, parquet.schema_arrow.names, file)
            bounds = _group_bounds(parquet)
            first_group = int(np.searchsorted(bounds, skip, side="right")) - 1
            groups = range(first_group, parquet.num_row_groups)
            row = int(bounds[first_group])
            for batch in parquet.iter_batches(PIECE_ROWS, groups, list(self.columns), use_threads=False):
                after = row + batch.num_rows
                if after > skip:
                    batch_rest = batch.slice(max(0, skip - row))
                    yield Piece(self._cast(batch_rest, file), int(self._starts[index]) + max(row, skip))
                row = after

    def _cast(self, batch: pa.RecordBatch, file: InputFile) -> pa.RecordBatch:
        batch = batch.select(list(self.columns))
        if batch.schema.equals(self.schema):
            return batch
        arrays = [_cast_column(batch.column(field.name), field, file, self._first) for field in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def locate(self, row: int) -> RowLocation:
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        return RowLocation(self.files[index].name, row - int(self._starts[index]) + 1)


@contextmanager
def _open(file: InputFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; read errors name it."""
    try:
        with file.filesystem.open_input_file(file.path) as raw, pq.ParquetFile(raw) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.name}: cannot be read as Parquet: {error}") from error


def _group_bounds(parquet: pq.ParquetFile) -> npt.NDArray[np.int64]:
    """First row of every row group, and the number of rows `(groups + 1,)`."""
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _metadata_rows(file: InputFile) -> int:
    with _open(file) as parquet:
        return int(parquet.metadata.num_rows)


def _cast_column(array: pa.Array, field: pa.Field, file: InputFile, first: InputFile) -> pa.Array:
    """Cast a column to its type in the first file."""
    if pa.types.is_string(field.type) and pa.types.is_primitive(array.type) and not pa.types.is_null(array.type):
        raise _mismatch(array, field, file, first)  # Arrow would format the numbers as text
    try:
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise _mismatch(array, field, file, first) from error


def _mismatch(array: pa.Array, field: pa.Field, file: InputFile, first: InputFile) -> DataError:
    return DataError(
        f'{file.name}: column "{field.name}" is {array.type}, but {field.type} in {first.name}; '
        "all files of an input path need the same types"
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Type that features read for a stored type: without dictionaries and unusual widths; no value changes."""
    types = pa.types
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind):
        return pa.string()
    if types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if kind in _WIDER:
        return _WIDER[kind]
    return pa.float64() if types.is_decimal(kind) else kind


_WIDER = {
    pa.bool_(): pa.int32(),
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
}
