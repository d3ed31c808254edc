"""ArrowReader: Arrow IPC files, also called Feather version 2, whose blocks are record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.data.columnar import ColumnarReader
from tzrec.data.columnar_format import ColumnarFile, ColumnarFormat, is_local
from tzrec.data.paths import InputFile
from tzrec.data.reader import PIECE_ROWS


class ArrowFormat(ColumnarFormat):
    """Format of Arrow IPC files. Local files are mapped into memory, so that a large batch is read piece by piece."""

    name, dataset_type, magic, extension = "Arrow IPC", "ArrowDataset", b"ARROW1", "arrow"

    def write(self, table: pa.Table, path: str) -> None:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, PIECE_ROWS)

    def open(self, file: InputFile, metadata: Any = None) -> ColumnarFile:
        return _ArrowFile(file)


class _ArrowFile(ColumnarFile):
    """An open Arrow IPC file."""

    def __init__(self, file: InputFile) -> None:
        self._is_mapped = is_local(file)
        self._source = pa.memory_map(file.path) if self._is_mapped else file.filesystem.open_input_file(file.path)
        try:
            reader = pa.ipc.open_file(self._source)
            self.schema = reader.schema
            self._num_batches = reader.num_record_batches
        except BaseException:
            self._source.close()
            raise

    @property
    def block_rows(self) -> npt.NDArray[np.int64]:
        reader = self._reader([0] if len(self.schema) else [])
        return np.array([reader.get_batch(index).num_rows for index in range(self._num_batches)], np.int64)

    def _reader(self, indices: Sequence[int]) -> pa.ipc.RecordBatchFileReader:
        """Open the batches for some columns, or for all of none."""
        return pa.ipc.open_file(self._source, options=pa.ipc.IpcReadOptions(included_fields=sorted(indices)))

    def read(self, first: int, after: int, columns: Sequence[str], piece_rows: int) -> Iterator[pa.RecordBatch]:
        reader = self._reader([self.schema.get_field_index(name) for name in columns])
        for index in range(first, after):
            batch = reader.get_batch(index).select(list(columns))
            for begin in range(0, batch.num_rows, piece_rows):
                piece = batch.slice(begin, piece_rows)
                yield _copied(piece) if self._is_mapped else piece

    def close(self) -> None:
        self._source.close()


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Copy the rows out of a mapped file: a file that is cut while its rows are in use would end the process."""
    return pa.RecordBatch.from_arrays([_copied_array(column) for column in batch.columns], schema=batch.schema)


def _copied_array(array: pa.Array) -> pa.Array:
    try:
        return pa.concat_arrays([array])
    except pa.ArrowNotImplementedError:  # a type that no feature reads, such as a union
        return array


class ArrowReader(ColumnarReader):
    """Reader of Arrow IPC files. Columns and record batches that are not asked for are not read."""

    file_format = ArrowFormat()
