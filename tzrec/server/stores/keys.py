"""Keys of rows as text: 7 of a column of numbers is "7" of one of text; null and "" are no key."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import DataError
from tzrec.features.arrays import Int64Array
from tzrec.features.column_types import decode
from tzrec.features.text.spans import Spans, text_buffers
from tzrec.features.text.string_hash import string_hash


def to_keys(column: pa.Array | pa.ChunkedArray, name: str) -> pa.Array:
    """Convert a column of keys to large_string, `(B,)`.

    Args:
        column: whole numbers, also as floats, or text.
        name: of the column, for the error.

    Raises:
        DataError: the values are of another type, or a number is not whole.
    """
    array = decode(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    if pa.types.is_floating(array.type):
        try:
            array = array.cast(pa.int64())
        except pa.ArrowInvalid:
            raise DataError(f'column "{name}" has a key that is no whole number; give whole numbers or text') from None
    elif not (pa.types.is_integer(array.type) or pa.types.is_string(array.type) or pa.types.is_null(array.type)):
        raise DataError(f'column "{name}" of keys is {array.type}; give whole numbers or text')
    text = array.cast(pa.large_string())
    is_empty = pc.equal(text, "")
    return pc.if_else(is_empty, None, text) if pc.any(is_empty).as_py() else text


class KeyIndex:
    """Index from keys to rows; the last row of a key counts. It takes 16 bytes per row, a dict some 150.

    Args:
        keys: large_string, `(N,)`; rows without a key are not found.

    Attributes:
        num_keys: number of different keys.
    """

    def __init__(self, keys: pa.Array) -> None:
        hashes = _hashes(keys)  # (N,)
        order = np.argsort(hashes, kind="stable")
        rows = order[keys.is_valid().to_numpy(zero_copy_only=False)[order]]
        self._keys, self._hashes, self._rows = keys, hashes[rows], rows
        self.num_keys = len(np.unique(self._hashes))

    def find(self, keys: pa.Array) -> Int64Array:
        """Find the rows of keys `(K,)`, large_string without null; -1 for an unknown key."""
        hashes = _hashes(keys)
        found_rows = np.full(len(keys), -1, np.int64)
        places = np.searchsorted(self._hashes, hashes, side="right") - 1  # of the last row with the hash
        rest = self._with_hash(np.arange(len(keys)), places, hashes)
        while len(rest):
            rows = self._rows[places[rest]]
            is_key = pc.equal(self._keys.take(pa.array(rows)), keys.take(pa.array(rest)))
            is_key = is_key.to_numpy(zero_copy_only=False)
            found_rows[rest[is_key]] = rows[is_key]
            rest = rest[~is_key]  # another key has the same hash
            places[rest] -= 1
            rest = self._with_hash(rest, places, hashes)
        return found_rows

    def _with_hash(self, rest: Int64Array, places: Int64Array, hashes: Int64Array) -> Int64Array:
        """Select the keys whose place has their hash."""
        rest = rest[places[rest] >= 0]
        return rest[self._hashes[places[rest]] == hashes[rest]]


def _hashes(keys: pa.Array) -> Int64Array:
    data, starts, ends, _ = text_buffers(keys)
    return string_hash(Spans(data, starts, ends))
