"""ParquetReader: Parquet files, whose blocks are row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tzrec.data.columnar import ColumnarReader
from tzrec.data.columnar_format import ColumnarFile, ColumnarFormat, is_local
from tzrec.data.paths import InputFile

_BUFFER_BYTES = 1 << 16
"""Bytes of a column that are read at a time from a local file, instead of the whole column of a row group."""


class ParquetFormat(ColumnarFormat):
    """Format of Parquet files. Pages that were written with a checksum are verified."""

    name, dataset_type, magic, extension = "Parquet", "ParquetDataset", b"PAR1", "parquet"

    def write(self, table: pa.Table, path: str) -> None:
        pq.write_table(table, path)

    def open(self, file: InputFile, metadata: Any = None) -> ColumnarFile:
        return _ParquetFile(file, metadata)


class _ParquetFile(ColumnarFile):
    """An open Parquet file."""

    def __init__(self, file: InputFile, metadata: pq.FileMetaData | None) -> None:
        self._source = file.filesystem.open_input_file(file.path)
        try:
            # a request to a remote store takes a moment, so there the columns of a row group are requested at once
            self._is_local = is_local(file)
            self._parquet = pq.ParquetFile(
                self._source,
                metadata=metadata,
                buffer_size=_BUFFER_BYTES if self._is_local else 0,
                pre_buffer=not self._is_local,
                page_checksum_verification=True,
            )
        except BaseException:
            self._source.close()
            raise
        self.schema = self._parquet.schema_arrow

    @property
    def block_rows(self) -> npt.NDArray[np.int64]:
        groups = range(self._parquet.num_row_groups)
        return np.array([self.metadata.row_group(group).num_rows for group in groups], np.int64)

    @property
    def metadata(self) -> Any:
        return self._parquet.metadata

    @property
    def metadata_bytes(self) -> int:
        return int(self.metadata.serialized_size)

    def read(self, first: int, after: int, columns: Sequence[str], piece_rows: int) -> Iterator[pa.RecordBatch]:
        names, groups = list(columns), range(first, after)
        # what is requested at once is held at once: never more than one row group
        for part in [groups] if self._is_local else [[group] for group in groups]:
            for batch in self._parquet.iter_batches(piece_rows, part, names, use_threads=False):
                yield batch.select(names)

    def bounds(self, column: str) -> Iterator[float]:
        for group in range(self.metadata.num_row_groups):
            for index in range(self.metadata.num_columns):
                chunk = self.metadata.row_group(group).column(index)
                if chunk.path_in_schema == column and chunk.is_stats_set and chunk.statistics.has_min_max:
                    yield from (chunk.statistics.min, chunk.statistics.max)

    def close(self) -> None:
        self._parquet.close()
        self._source.close()


class ParquetReader(ColumnarReader):
    """Reader of Parquet files. Columns and parts of row groups that are not asked for are not read."""

    file_format = ParquetFormat()
