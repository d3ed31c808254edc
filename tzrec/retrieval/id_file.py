"""File of ids: text with one id per line, mapped to memory; an id is made into an object when it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def write_ids(path: Path, ids: pa.Array) -> None:
    """Write ids, int64 or large_string without line breaks."""
    empty, line_break = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
    lines = pc.binary_join_element_wise(ids.cast(pa.large_string()), empty, line_break)
    with path.open("wb") as stream:
        if len(lines):
            bounds = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(lines) + 1]
            stream.write(memoryview(lines.buffers()[2])[bounds[0] : bounds[-1]])


class IdFile:
    """Ids by line number.

    Args:
        path: of a file that `write_ids` wrote.
        is_integer: the ids are whole numbers.
    """

    def __init__(self, path: Path, is_integer: bool) -> None:
        data = pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"")
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")).astype(np.int64) + 1
        offsets = pa.py_buffer(np.concatenate([np.zeros(1, np.int64), ends]))
        # every line ends with its line break, which `take` removes
        self._lines = pa.LargeStringArray.from_buffers(len(ends), offsets, data)
        self._is_integer = is_integer

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def type(self) -> pa.DataType:
        """int64 or string."""
        return pa.int64() if self._is_integer else pa.string()

    def take(self, rows: npt.NDArray[np.int64]) -> pa.Array:
        """Ids of lines, counted from 0; int64 or string."""
        lines = self._lines.take(pa.array(rows))
        return pc.utf8_slice_codeunits(lines, 0, -1).cast(self.type)
