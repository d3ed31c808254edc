"""Text columns of converted tables: bytes of all rows end to end, and the offsets of the rows in them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from tzrec.data.samplers.table_cache import CachedTable
from tzrec.features.arrays import Int64Array
from tzrec.features.text.spans import Spans, text_buffers


class TextColumnWriter:
    """Writer of a text column, as a context manager.

    Args:
        directory: of the table.
        name: of the column.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._bytes = (directory / f"{name}.bytes").open("wb")
        self._offsets = (directory / f"{name}.offsets").open("wb")
        self._size = 0
        self._offsets.write(np.zeros(1, np.int64).tobytes())

    def __enter__(self) -> TextColumnWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bytes.close()
        self._offsets.close()

    def append(self, texts: pa.Array) -> None:
        """Append a string array without nulls."""
        data, starts, ends, _ = text_buffers(texts)
        if len(texts) == 0:
            return
        first, last = int(starts[0]), int(ends[-1])
        self._bytes.write(data[first:last].data)
        self._offsets.write((ends - (first - self._size)).tobytes())
        self._size += last - first


class TextColumn:
    """Text column of a converted table."""

    def __init__(self, table: CachedTable, name: str) -> None:
        self._data = table.array(f"{name}.bytes", np.uint8)
        self._offsets = table.array(f"{name}.offsets", np.int64)

    def take(self, rows: Int64Array) -> pa.Array:
        """Copy the text of some rows to a large_string array."""
        return Spans(self._data, self._offsets[rows], self._offsets[rows + 1]).to_arrow()

    def take_parts(self, rows: Int64Array, delimiter: str, count: int) -> list[pa.Array]:
        """Copy the `count` parts of the text of some rows to large_string arrays."""
        from tzrec.data.samplers import kernels

        mark = np.frombuffer(delimiter.encode(), np.uint8)
        starts, ends = kernels.split_parts(self._data, self._offsets[rows], self._offsets[rows + 1], mark, count)
        return [Spans(self._data, starts[part], ends[part]).to_arrow() for part in range(count)]
