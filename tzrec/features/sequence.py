"""Steps: an Arrow column of sequences, taken apart into one row per step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.features.jagged import is_list, is_text, list_lengths, plain, positions
from tzrec.features.text.spans import Int64Array, buffers

Lengths = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ElementArray:
    """The steps of B rows.

    Attributes:
        values: one element per step, row after row, `(S,)`: text, a number, a list of values, a map, or null.
        lengths: int32 `(B,)`, steps per row.
    """

    values: pa.Array
    lengths: Lengths

    def fitted(self, lengths: Lengths) -> pa.Array:
        """One element per step for rows of at least as many steps; null at steps that are not there."""
        if np.array_equal(lengths, self.lengths):
            return self.values
        starts = np.cumsum(self.lengths) - self.lengths
        within = positions(lengths)
        there = within < np.repeat(self.lengths, lengths)
        places = np.where(there, np.repeat(starts, lengths) + within, 0)
        return self.values.take(pa.array(places, mask=~there))


def read_steps(array: pa.Array, delimiter: str, limit: int, fill: bool) -> ElementArray:
    """Take a column of sequences apart.

    A string is split at the delimiter, a list is a step per element, anything else is one step. Nothing is left out,
    for steps of several columns belong together by their place.

    Args:
        array: B rows.
        delimiter: what stands between the steps of a string.
        limit: steps to keep per row, from the first; 0 for all.
        fill: whether a missing row (null, "", an empty list) has one step without a value instead of none.
    """
    array = plain(array)
    if is_text(array.type):
        steps = _read_text(array, delimiter, limit, fill)
    elif is_list(array.type):
        steps = _cut(ElementArray(array.flatten(), list_lengths(array)), limit)
    else:
        there = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int32)
        steps = ElementArray(array if there.all() else array.drop_null(), there)
    if fill and not steps.lengths.all():
        return ElementArray(steps.fitted(np.maximum(steps.lengths, 1)), np.maximum(steps.lengths, 1))
    return steps


def _read_text(array: pa.Array, delimiter: str, limit: int, fill: bool) -> ElementArray:
    from tzrec.features.kernels import text

    data, begins, stops, null = buffers(array)
    mark = np.frombuffer(delimiter.encode(), np.uint8)
    offsets, text, lengths = text.split_steps(data, begins, stops, null, mark, limit, fill)
    values = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
    return ElementArray(values, lengths)


def _cut(steps: ElementArray, limit: int) -> ElementArray:
    """At most `limit` steps of each row, all for 0."""
    if not limit or not (steps.lengths > limit).any():
        return steps
    kept = positions(steps.lengths) < limit
    return ElementArray(steps.values.filter(pa.array(kept)), np.minimum(steps.lengths, np.int32(limit)))


def missing(array: pa.Array, rows: Int64Array) -> npt.NDArray[np.bool_]:
    """Whether these rows of a column are missing: null, "" or an empty list."""
    array = plain(array).take(pa.array(rows))
    null = array.is_null().to_numpy(zero_copy_only=False)
    if is_text(array.type):
        return null | np.equal(array.to_pylist(), "")  # type: ignore[no-any-return]
    return null | (list_lengths(array) == 0) if is_list(array.type) else null
