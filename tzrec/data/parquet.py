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
from tzrec.data.reader import PIECE_ROWS, Piece, Reader, Spot, require
from tzrec.errors import DataError
from tzrec.protos import data_pb2


class ParquetReader(Reader):
    """Reads Parquet files; row numbers come from the metadata, so that starting anywhere reads nothing in vain.

    The first file fixes the type of every column. Later files are cast to it where no value is lost.
    """

    def __init__(self, config: data_pb2.DataConfig, path: str, columns: Sequence[str] | None = None) -> None:
        super().__init__(config, path, columns)
        rows = [_metadata_rows(file) for file in self.files]
        self._starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)  # (files + 1,)
        with _opened(self.files[0]) as parquet:
            schema = parquet.schema_arrow
        self.schema = pa.schema([(name, plain(schema.field(name).type)) for name in self.columns])
        self._first = self.files[0]

    def only(self, index: int) -> ParquetReader:
        reader = cast(ParquetReader, super().only(index))
        reader._starts = self._starts[index : index + 2] - self._starts[index]
        return reader

    def starts(self) -> list[int]:
        with _opened(self.files[0]) as parquet:
            return _bounds(parquet)[:-1].tolist()  # type: ignore[no-any-return]

    def _names(self, file: InputFile) -> Sequence[str]:
        with _opened(file) as parquet:
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
        """The rows of one file after the first `skip`, leaving out row groups before them."""
        file = self.files[index]
        with _opened(file) as parquet:
            require(self.columns, parquet.schema_arrow.names, file)
            bounds = _bounds(parquet)
            first_group = int(np.searchsorted(bounds, skip, side="right")) - 1
            groups = range(first_group, parquet.num_row_groups)
            row = int(bounds[first_group])
            for batch in parquet.iter_batches(PIECE_ROWS, groups, list(self.columns), use_threads=False):
                after = row + batch.num_rows
                if after > skip:
                    kept = batch.slice(max(0, skip - row))
                    yield Piece(self._typed(kept, file), int(self._starts[index]) + max(row, skip))
                row = after

    def _typed(self, batch: pa.RecordBatch, file: InputFile) -> pa.RecordBatch:
        batch = batch.select(list(self.columns))
        if batch.schema.equals(self.schema):
            return batch
        arrays = [_cast(batch.column(field.name), field, file, self._first) for field in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def spot(self, row: int) -> Spot:
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        return Spot(self.files[index].name, row - int(self._starts[index]) + 1)


@contextmanager
def _opened(file: InputFile) -> Iterator[pq.ParquetFile]:
    """A Parquet file whose read errors name it."""
    try:
        with file.filesystem.open_input_file(file.path) as raw, pq.ParquetFile(raw) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.name}: cannot be read as Parquet: {error}") from error


def _bounds(parquet: pq.ParquetFile) -> npt.NDArray[np.int64]:
    """The first row of every row group, and the number of rows: `(groups + 1,)`."""
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _metadata_rows(file: InputFile) -> int:
    with _opened(file) as parquet:
        return int(parquet.metadata.num_rows)


def _cast(array: pa.Array, field: pa.Field, file: InputFile, first: InputFile) -> pa.Array:
    """One column as the type of the first file."""
    if pa.types.is_string(field.type) and pa.types.is_primitive(array.type) and not pa.types.is_null(array.type):
        raise _mismatch(array, field, file, first)  # Arrow would print the numbers; the user did not say so
    try:
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise _mismatch(array, field, file, first) from error


def _mismatch(array: pa.Array, field: pa.Field, file: InputFile, first: InputFile) -> DataError:
    return DataError(
        f'{file.name}: column "{field.name}" is {array.type}, but {field.type} in {first.name}; '
        "all files of an input path need the same types"
    )


def plain(kind: pa.DataType) -> pa.DataType:
    """The type that features know for a stored type: encodings and odd widths undone, no value changed."""
    types = pa.types
    if types.is_dictionary(kind):
        return plain(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind):
        return pa.string()
    if types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_list(kind):
        return pa.list_(plain(kind.value_type))
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
