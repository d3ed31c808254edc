"""Kernels that make or compare text: decimals, crosses of words, keys of maps; see tzrec.features.kernels.parse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import BoolArray, ByteArray, Int32Array, Int64Array
from tzrec.features.kernels.jit import BYTES, BYTES_OUT, FLAGS, INTS, INTS_OUT, LONGS, LONGS_OUT, compiled

_ZERO, _MINUS, _JOINT = ord("0"), ord("-"), ord("_")
_DIGITS = 20  # "-9223372036854775808" has 20 characters


@compiled(types.Tuple((BYTES_OUT, LONGS_OUT, LONGS_OUT))(LONGS))
def decimals(values: Int64Array) -> Any:
    """Decimal text of every number: the bytes, and starts and ends `(N,)` in them."""
    data = np.empty(len(values) * _DIGITS, np.uint8)
    starts = np.empty(len(values), np.int64)
    ends = np.empty(len(values), np.int64)
    for i in range(len(values)):
        value = values[i]
        rest = np.uint64(value)
        if value < 0:
            rest = ~rest + np.uint64(1)  # the smallest int64 has no positive twin in int64
        ends[i] = at = (i + 1) * _DIGITS
        while True:
            at -= 1
            data[at] = _ZERO + rest % np.uint64(10)
            rest //= np.uint64(10)
            if rest == 0:
                break
        if value < 0:
            at -= 1
            data[at] = _MINUS
        starts[i] = at
    return data, starts, ends


@compiled(
    types.Tuple((BYTES_OUT, LONGS_OUT, LONGS_OUT, INTS_OUT))(BYTES, LONGS, LONGS, INTS, BYTES, LONGS, LONGS, INTS)
)
def cross(
    left: ByteArray,
    left_starts: Int64Array,
    left_ends: Int64Array,
    left_lengths: Int32Array,
    right: ByteArray,
    right_starts: Int64Array,
    right_ends: Int64Array,
    right_lengths: Int32Array,
) -> Any:
    """Every pair of a left and a right piece of each row, joined by "_", left outermost.

    Args:
        left: text of the left pieces, which lie at starts and ends `(N,)`, in rows of `lengths` `(B,)`.
        right: the same of the right pieces.

    Returns:
        the text of the pairs, starts and ends `(M,)` in it, and pairs per row `(B,)`.
    """
    pairs = size = 0
    i = j = 0
    lengths = np.empty(len(left_lengths), np.int32)
    for row in range(len(left_lengths)):
        m, n = np.int64(left_lengths[row]), np.int64(right_lengths[row])
        for at in range(i, i + m):
            size += (left_ends[at] - left_starts[at] + 1) * n
        for at in range(j, j + n):
            size += (right_ends[at] - right_starts[at]) * m
        i += m
        j += n
        pairs += m * n
        lengths[row] = m * n
    data = np.empty(size, np.uint8)
    starts = np.empty(pairs, np.int64)
    ends = np.empty(pairs, np.int64)
    i = j = pair = at = 0
    for row in range(len(left_lengths)):
        m, n = np.int64(left_lengths[row]), np.int64(right_lengths[row])
        for one in range(i, i + m):
            for other in range(j, j + n):
                starts[pair] = at
                for byte in range(left_starts[one], left_ends[one]):
                    data[at] = left[byte]
                    at += 1
                data[at] = _JOINT
                at += 1
                for byte in range(right_starts[other], right_ends[other]):
                    data[at] = right[byte]
                    at += 1
                ends[pair] = at
                pair += 1
        i += m
        j += n
    return data, starts, ends, lengths


@compiled(LONGS_OUT(BYTES, LONGS, LONGS, types.uint8))
def find_first(data: ByteArray, starts: Int64Array, ends: Int64Array, symbol: int) -> Any:
    """Position of the first `symbol` in every span, its end where there is none."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        at = starts[i]
        while at < ends[i] and data[at] != symbol:
            at += 1
        out[i] = at
    return out


@compiled(types.boolean(BYTES, types.int64, types.int64, BYTES, types.int64, types.int64))
def _equal(left: ByteArray, start: int, end: int, right: ByteArray, right_start: int, right_end: int) -> Any:
    if end - start != right_end - right_start:
        return False
    same = 0
    while start + same < end and left[start + same] == right[right_start + same]:
        same += 1
    return start + same == end


@compiled(
    types.Tuple((LONGS_OUT, LONGS_OUT, INTS_OUT))(
        BYTES, LONGS, LONGS, INTS, BYTES, LONGS, LONGS, INTS, BYTES
    )
)  # fmt: skip
def select(
    keys: ByteArray,
    key_starts: Int64Array,
    key_ends: Int64Array,
    key_lengths: Int32Array,
    words: ByteArray,
    word_starts: Int64Array,
    word_ends: Int64Array,
    word_lengths: Int32Array,
    wildcard: ByteArray,
) -> Any:
    """Entries of each row whose key is one of the row's words, in the order of the words; the first of equal keys.

    Args:
        keys: text of the keys, which lie at starts and ends `(N,)`, in rows of `lengths` `(B,)`.
        words: the same of the words looked for.
        wildcard: the word that stands for every key; empty for none.

    Returns:
        numbers of the entries found `(M,)`, numbers of the words that found them `(M,)`, and how many each row has
        found `(B,)`.
    """
    room = i = j = 0
    for row in range(len(word_lengths)):
        for word in range(j, j + word_lengths[row]):
            every = len(wildcard) > 0 and _equal(words, word_starts[word], word_ends[word], wildcard, 0, len(wildcard))
            room += np.int64(key_lengths[row]) if every else 1
        j += word_lengths[row]
    entries = np.empty(room, np.int64)
    finders = np.empty(room, np.int64)
    lengths = np.empty(len(word_lengths), np.int32)
    found = j = 0
    for row in range(len(word_lengths)):
        before = found
        for word in range(j, j + word_lengths[row]):
            start, end = word_starts[word], word_ends[word]
            every = len(wildcard) > 0 and _equal(words, start, end, wildcard, 0, len(wildcard))
            for entry in range(i, i + key_lengths[row]):
                if every or _equal(keys, key_starts[entry], key_ends[entry], words, start, end):
                    entries[found] = entry
                    finders[found] = word
                    found += 1
                    if not every:
                        break
        lengths[row] = found - before
        i += key_lengths[row]
        j += word_lengths[row]
    return entries[:found].copy(), finders[:found].copy(), lengths


@compiled(types.Tuple((LONGS_OUT, BYTES_OUT, INTS_OUT))(BYTES, LONGS, LONGS, FLAGS, BYTES, types.int64, types.boolean))
def split_elements(
    data: ByteArray,
    begins: Int64Array,
    stops: Int64Array,
    null: BoolArray,
    delimiter: ByteArray,
    limit: int,
    fill: bool,
) -> Any:
    """Copy the pieces of B rows of text end to end, the empty ones too.

    Args:
        data: holds the text of all rows.
        begins: `(B,)`, row i is `data[begins[i]:stops[i]]`.
        stops: `(B,)`.
        null: `(B,)`, or empty where no row is null.
        delimiter: its bytes, at least one.
        limit: pieces to keep per row, 0 for all.
        fill: whether an empty row has one empty piece instead of none.

    Returns:
        offsets `(S + 1,)` and bytes, the buffers of an Arrow large_string array of S pieces, and pieces per row `(B,)`.
    """
    width = len(delimiter)
    size = 0
    for row in range(len(begins)):
        size += stops[row] - begins[row]
    offsets = np.empty(size // width + len(begins) + 1, np.int64)
    out = np.empty(size, np.uint8)
    lengths = np.zeros(len(begins), np.int32)
    offsets[0] = 0
    found = written = 0
    for row in range(len(begins)):
        at, stop = begins[row], stops[row]
        if (len(null) and null[row]) or at == stop:
            if fill:
                found += 1
                offsets[found] = written
                lengths[row] = 1
            continue
        first = found
        while True:
            cut = at < stop and data[at] == delimiter[0] and at + width <= stop
            if cut and width > 1:
                for i in range(1, width):
                    cut = cut and data[at + i] == delimiter[i]
            if cut or at == stop:
                found += 1
                offsets[found] = written
                if at == stop or found - first == limit:
                    break
                at += width
            else:
                out[written] = data[at]
                written += 1
                at += 1
        lengths[row] = found - first
    return offsets[: found + 1].copy(), out[:written].copy(), lengths
