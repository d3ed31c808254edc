"""Spans: pieces of text that stay in their Arrow buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.features.arrays import BoolArray, ByteArray, Float32Array, Int32Array, Int64Array


@dataclass(frozen=True)
class Spans:
    """N pieces of text, `data[starts[i]:ends[i]]`, none of them empty.

    The methods import the compiled kernels on first use, so that a config without text never loads numba.
    """

    data: ByteArray
    starts: Int64Array
    ends: Int64Array

    @classmethod
    def repeat(cls, word: str, times: int) -> Spans:
        """Return the same word `times` times."""
        data = np.frombuffer(word.encode(), np.uint8)
        return cls(data, np.zeros(times, np.int64), np.full(times, len(data)))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: BoolArray | Int64Array) -> Spans:
        return Spans(self.data, self.starts[index], self.ends[index])

    def split(self, separator: str) -> tuple[Spans, Int32Array]:
        """Split every piece into its non-empty parts, and count them, `(N,)`."""
        from tzrec.features.kernels import parse

        mark = np.frombuffer(separator.encode(), np.uint8)
        null = np.empty(0, np.bool_)
        starts, ends, lengths = parse.split(self.data, self.starts, self.ends, null, mark, 0)
        return Spans(self.data, starts, ends), lengths

    def hash(self, size: int) -> Int64Array:
        """Return MurmurHash64A of every piece modulo `size`, `(N,)`."""
        from tzrec.features.kernels import parse

        return parse.hash_text(self.data, self.starts, self.ends, size)

    def farm_hash(self, size: int) -> Int64Array:
        """Return FarmHash Fingerprint64 of every piece modulo `size`, `(N,)`."""
        from tzrec.features.kernels import farm_hash

        return farm_hash.hash_text(self.data, self.starts, self.ends, size)

    def parse_integers(self) -> tuple[Int64Array, BoolArray]:
        """Read every piece as an integer, and return a mask of those that are one."""
        from tzrec.features.kernels import parse

        return parse.parse_integers(self.data, self.starts, self.ends)  # type: ignore[no-any-return]

    def parse_floats(self) -> tuple[npt.NDArray[np.float64], BoolArray]:
        """Read every piece as a finite number, and return a mask of those that are one."""
        from tzrec.features.kernels import parse

        return parse.parse_floats(self.data, self.starts, self.ends)  # type: ignore[no-any-return]

    def split_weights(self) -> tuple[Spans, Float32Array]:
        """Split `id:weight` at the last colon; an id alone weighs 1, and a weight that is not a number is NaN."""
        from tzrec.features.kernels import parse

        id_ends = parse.find_last(self.data, self.starts, self.ends, ord(":"))
        weights, is_number = parse.parse_floats(self.data, np.minimum(id_ends + 1, self.ends), self.ends)
        weights[~is_number] = np.nan
        weights[id_ends == self.ends] = 1.0
        return Spans(self.data, self.starts, id_ends), weights.astype(np.float32)

    def to_arrow(self) -> pa.Array:
        """Copy the pieces to a large_string array."""
        from tzrec.features.kernels import parse

        offsets, data = parse.gather(self.data, self.starts, self.ends)
        return pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(offsets), pa.py_buffer(data))


def to_decimals(values: Int64Array) -> Spans:
    """Return the decimal text of every number."""
    from tzrec.features.kernels import text

    return Spans(*text.decimals(values))


def split(array: pa.Array, separator: str = "", limit: int = 0) -> tuple[Spans, Int32Array]:
    """Split a string or large_string array of B rows into its non-empty parts; null and "" have none.

    Args:
        array: strings.
        separator: separates the parts; "" to keep every string whole.
        limit: number of parts to keep per row, 0 for all.

    Returns:
        the parts of all rows, row after row, and parts per row, `(B,)`.
    """
    from tzrec.features.kernels import parse

    data, begins, stops, null = text_buffers(array)
    mark = np.frombuffer(separator.encode(), np.uint8)
    starts, ends, lengths = parse.split(data, begins, stops, null, mark, limit)
    return Spans(data, starts, ends), lengths


def text_buffers(array: pa.Array) -> tuple[ByteArray, Int64Array, Int64Array, BoolArray]:
    """Return the buffers of a string or large_string array of B rows.

    Returns:
        the bytes of all rows, start and end of each row in them `(B,)`, and a mask of null rows `(B,)`, which is empty
        if no row is null.
    """
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offset_buffer, data_buffer = array.buffers()
    null = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else np.empty(0, np.bool_)
    if len(array) == 0 or data_buffer is None:  # Arrow omits the buffers of arrays without any text
        zeros = np.zeros(len(array), np.int64)
        return np.empty(0, np.uint8), zeros, zeros, null
    offsets = np.frombuffer(offset_buffer, width)[array.offset : array.offset + len(array) + 1]
    offsets = offsets.astype(np.int64, copy=False)
    return np.frombuffer(data_buffer, np.uint8), offsets[:-1], offsets[1:], null
