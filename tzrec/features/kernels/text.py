"""Kernels that write or compare text: decimals, crosses of words, keys of maps, sequence elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import BoolArray, ByteArray, Int32Array, Int64Array
from tzrec.features.kernels.parse import DECIMAL_SIZE, write_decimal
from tzrec.ops.jit import BOOLS, INT32S, INT32S_OUT, INT64S, INT64S_OUT, UINT8S, UINT8S_OUT, jit

_JOINT = ord("_")


@jit(INT64S_OUT(INT64S, INT64S, INT64S, INT64S, INT64S, INT64S))
def edit_distances(
    left: Int64Array,
    left_starts: Int64Array,
    left_ends: Int64Array,
    right: Int64Array,
    right_starts: Int64Array,
    right_ends: Int64Array,
) -> Any:
    """Compute the Levenshtein distance of each row, `(B,)`.

    Args:
        left: characters of all rows as numbers.
        left_starts: start of each row in them, `(B,)`.
        left_ends: end of each row in them, `(B,)`.
        right: the same of the other texts.
        right_starts: start of each row in them, `(B,)`.
        right_ends: end of each row in them, `(B,)`.
    """
    out = np.empty(len(left_starts), np.int64)
    for row in range(len(out)):
        start, end = right_starts[row], right_ends[row]
        costs = np.arange(end - start + 1)  # from the empty text to each prefix of the right one
        for i in range(left_starts[row], left_ends[row]):
            diagonal = costs[0]
            costs[0] += 1
            for j in range(end - start):
                replaced = diagonal + (left[i] != right[start + j])
                diagonal = costs[j + 1]
                costs[j + 1] = min(replaced, diagonal + 1, costs[j] + 1)
        out[row] = costs[end - start]
    return out


@jit(types.Tuple((UINT8S_OUT, INT64S_OUT, INT64S_OUT))(INT64S))
def decimals(values: Int64Array) -> Any:
    """Write every number in decimal: return the bytes, and starts and ends `(N,)` in them."""
    data = np.empty(len(values) * DECIMAL_SIZE, np.uint8)
    starts = np.empty(len(values), np.int64)
    ends = np.empty(len(values), np.int64)
    for i in range(len(values)):
        ends[i] = (i + 1) * DECIMAL_SIZE
        starts[i] = write_decimal(values[i], data, ends[i])
    return data, starts, ends


@jit(
    types.Tuple((UINT8S_OUT, INT64S_OUT, INT64S_OUT, INT32S_OUT))(
        UINT8S, INT64S, INT64S, INT32S, UINT8S, INT64S, INT64S, INT32S
    )
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
    """Join every pair of a left and a right piece of each row by "_", left outermost.

    Args:
        left: text of the left pieces, with their starts and ends `(N,)` and pieces per row `(B,)`.
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
        for left_piece in range(i, i + m):
            for right_piece in range(j, j + n):
                starts[pair] = at
                for byte in range(left_starts[left_piece], left_ends[left_piece]):
                    data[at] = left[byte]
                    at += 1
                data[at] = _JOINT
                at += 1
                for byte in range(right_starts[right_piece], right_ends[right_piece]):
                    data[at] = right[byte]
                    at += 1
                ends[pair] = at
                pair += 1
        i += m
        j += n
    return data, starts, ends, lengths


@jit(INT64S_OUT(UINT8S, INT64S, INT64S, types.uint8))
def find_first(data: ByteArray, starts: Int64Array, ends: Int64Array, symbol: int) -> Any:
    """Return the position of the first `symbol` in every span, its end if there is none."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        at = starts[i]
        while at < ends[i] and data[at] != symbol:
            at += 1
        out[i] = at
    return out


@jit(types.boolean(UINT8S, types.int64, types.int64, UINT8S, types.int64, types.int64))
def _equal(left: ByteArray, start: int, end: int, right: ByteArray, right_start: int, right_end: int) -> Any:
    if end - start != right_end - right_start:
        return False
    same = 0
    while start + same < end and left[start + same] == right[right_start + same]:
        same += 1
    return start + same == end


@jit(
    types.Tuple((INT64S_OUT, INT64S_OUT, INT32S_OUT))(
        UINT8S, INT64S, INT64S, INT32S, UINT8S, INT64S, INT64S, INT32S, UINT8S
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
    """Select the entries of each row whose key is one of the row's words, in the order of the words.

    Of equal keys the first is selected.

    Args:
        keys: text of the keys, with their starts and ends `(N,)` and keys per row `(B,)`.
        words: the same of the words to look up.
        wildcard: the word that matches every key; empty for none.

    Returns:
        indices of the selected entries `(M,)`, indices of the words that match them `(M,)`, and matches per row `(B,)`.
    """
    capacity = i = j = 0
    for row in range(len(word_lengths)):
        for word in range(j, j + word_lengths[row]):
            start, end = word_starts[word], word_ends[word]
            is_wild = len(wildcard) > 0 and _equal(words, start, end, wildcard, 0, len(wildcard))
            capacity += np.int64(key_lengths[row]) if is_wild else 1
        j += word_lengths[row]
    entries = np.empty(capacity, np.int64)
    matching_words = np.empty(capacity, np.int64)
    lengths = np.empty(len(word_lengths), np.int32)
    count = j = 0
    for row in range(len(word_lengths)):
        before = count
        for word in range(j, j + word_lengths[row]):
            start, end = word_starts[word], word_ends[word]
            is_wild = len(wildcard) > 0 and _equal(words, start, end, wildcard, 0, len(wildcard))
            for entry in range(i, i + key_lengths[row]):
                if is_wild or _equal(keys, key_starts[entry], key_ends[entry], words, start, end):
                    entries[count] = entry
                    matching_words[count] = word
                    count += 1
                    if not is_wild:
                        break
        lengths[row] = count - before
        i += key_lengths[row]
        j += word_lengths[row]
    return entries[:count].copy(), matching_words[:count].copy(), lengths


@jit(
    types.Tuple((INT64S_OUT, UINT8S_OUT, INT32S_OUT))(UINT8S, INT64S, INT64S, BOOLS, UINT8S, types.int64, types.boolean)
)
def split_elements(
    data: ByteArray,
    begins: Int64Array,
    stops: Int64Array,
    null: BoolArray,
    delimiter: ByteArray,
    limit: int,
    fill: bool,
) -> Any:
    """Copy the elements of B rows of text end to end, including empty ones.

    Args:
        data: text of all rows.
        begins: `(B,)`, row i is `data[begins[i]:stops[i]]`.
        stops: `(B,)`.
        null: `(B,)`, or empty if no row is null.
        delimiter: its bytes, at least one.
        limit: number of elements to keep per row, 0 for all.
        fill: give an empty row one empty element instead of none.

    Returns:
        offsets `(S + 1,)` and bytes, the buffers of an Arrow large_string array of S elements, and elements per row
        `(B,)`.
    """
    width = len(delimiter)
    size = 0
    for row in range(len(begins)):
        size += stops[row] - begins[row]
    offsets = np.empty(size // width + len(begins) + 1, np.int64)
    out = np.empty(size, np.uint8)
    lengths = np.zeros(len(begins), np.int32)
    offsets[0] = 0
    count = written = 0
    for row in range(len(begins)):
        at, stop = begins[row], stops[row]
        if (len(null) and null[row]) or at == stop:
            if fill:
                count += 1
                offsets[count] = written
                lengths[row] = 1
            continue
        first = count
        while True:
            is_delimiter = at < stop and data[at] == delimiter[0] and at + width <= stop
            if is_delimiter and width > 1:
                for i in range(1, width):
                    is_delimiter = is_delimiter and data[at + i] == delimiter[i]
            if is_delimiter or at == stop:
                count += 1
                offsets[count] = written
                if at == stop or count - first == limit:
                    break
                at += width
            else:
                out[written] = data[at]
                written += 1
                at += 1
        lengths[row] = count - first
    return offsets[: count + 1].copy(), out[:written].copy(), lengths
