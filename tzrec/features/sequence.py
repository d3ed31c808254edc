"""ElementArray: an Arrow column of sequences, split into one entry per element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, Int32Array, Int64Array
from tzrec.features.jagged import is_list, is_text, list_lengths, positions, to_plain
from tzrec.features.text.spans import text_buffers


@dataclass(frozen=True)
class ElementArray:
    """Sequence elements of B rows.

    Attributes:
        values: one entry per element, row after row, `(S,)`: text, a number, a list of values, a map, or null.
        lengths: int32 `(B,)`, elements per row.
    """

    values: pa.Array
    lengths: Int32Array

    def repeat_single(self, lengths: Int32Array) -> ElementArray:
        """Repeat the element of each row that has one, for rows of at least as many elements."""
        counts = np.where(self.lengths == 1, lengths, self.lengths)
        row_indices = np.repeat(np.arange(len(counts)), counts)
        starts = np.cumsum(self.lengths) - self.lengths
        indices = starts[row_indices] + np.where(self.lengths == 1, 0, 1)[row_indices] * positions(counts)
        return ElementArray(self.values.take(pa.array(indices)), counts.astype(np.int32))

    def pad(self, lengths: Int32Array) -> pa.Array:
        """Return the values for rows of at least as many elements; the added ones are null."""
        if np.array_equal(lengths, self.lengths):
            return self.values
        starts = np.cumsum(self.lengths) - self.lengths
        within = positions(lengths)
        exists = within < np.repeat(self.lengths, lengths)
        indices = np.where(exists, np.repeat(starts, lengths) + within, 0)
        return self.values.take(pa.array(indices, mask=~exists))


def read_elements(array: pa.Array, delimiter: str, limit: int, fill: bool) -> ElementArray:
    """Split a column of sequences into their elements.

    A string is split at the delimiter, a list has one element per item, any other value is one element. Empty elements
    are kept, because elements of several columns belong together by their position.

    Args:
        array: B rows.
        delimiter: separates the elements of a string.
        limit: number of elements to keep per row, from the first; 0 for all.
        fill: give a missing row (null, "", an empty list) one element without a value instead of none.
    """
    array = to_plain(array)
    if is_text(array.type):
        elements = _split_text(array, delimiter, limit, fill)
    elif is_list(array.type):
        elements = _truncate(ElementArray(array.flatten(), list_lengths(array)), limit)
    else:
        lengths = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int32)
        elements = ElementArray(array if lengths.all() else array.drop_null(), lengths)
    if fill and not elements.lengths.all():
        lengths = np.maximum(elements.lengths, 1)
        return ElementArray(elements.pad(lengths), lengths)
    return elements


def _split_text(array: pa.Array, delimiter: str, limit: int, fill: bool) -> ElementArray:
    from tzrec.features.kernels import text

    data, begins, stops, null = text_buffers(array)
    mark = np.frombuffer(delimiter.encode(), np.uint8)
    offsets, pieces, lengths = text.split_elements(data, begins, stops, null, mark, limit, fill)
    values = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(pieces))
    return ElementArray(values, lengths)


def _truncate(elements: ElementArray, limit: int) -> ElementArray:
    """Keep at most `limit` elements of each row, all for 0."""
    if not limit or not (elements.lengths > limit).any():
        return elements
    is_kept = positions(elements.lengths) < limit
    return ElementArray(elements.values.filter(pa.array(is_kept)), np.minimum(elements.lengths, np.int32(limit)))


def is_missing(array: pa.Array, rows: Int64Array) -> BoolArray:
    """Return a mask of these rows of a column: true for null, "" and an empty list."""
    array = to_plain(array).take(pa.array(rows))
    null = array.is_null().to_numpy(zero_copy_only=False)
    if is_text(array.type):
        return null | np.equal(array.to_pylist(), "")  # type: ignore[no-any-return]
    return null | (list_lengths(array) == 0) if is_list(array.type) else null
