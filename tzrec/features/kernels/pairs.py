"""Kernels over the words of two columns, row by row: overlap measures and dot products.

Words come as 64-bit codes (their hashes), equal exactly where the words are; the kernels never see text.
`tests/features/reference/pairs.py` holds the same functions in plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import FloatArray, Int64Array
from tzrec.features.kernels.jit import LONGS, compiled

_DOUBLES = types.Array(types.float64, 1, "C", readonly=True)
_DOUBLES_OUT = types.float64[::1]
_OF_ROW = compiled(types.float64(LONGS, LONGS))


@compiled(types.boolean(LONGS, types.int64))
def _is_again(words: Int64Array, at: int) -> Any:
    """Whether a word stands further left as well."""
    found = False
    for i in range(at):
        found = found or words[i] == words[at]
    return found


@compiled(types.boolean(LONGS, types.int64))
def _holds(words: Int64Array, word: int) -> Any:
    found = False
    for each in words:
        found = found or each == word
    return found


@_OF_ROW
def _common_ratio(words: Int64Array, others: Int64Array) -> Any:
    """Share of the different words that are among the others."""
    different = common = 0
    for i in range(len(words)):
        if not _is_again(words, i):
            different += 1
            common += 1 if _holds(others, words[i]) else 0
    return common / different


@_OF_ROW
def _is_contain(query: Int64Array, title: Int64Array) -> Any:
    """Whether all words of the query stand in the title in their order, others between them or not."""
    at = 0
    for word in title:
        if at < len(query) and word == query[at]:
            at += 1
    return 1.0 if at == len(query) else 0.0


@_OF_ROW
def _index_of(query: Int64Array, title: Int64Array) -> Any:
    """Where the query first stands in the title in one piece, -1 where it does not."""
    for start in range(len(title) - len(query) + 1):
        same = 0
        while same < len(query) and title[start + same] == query[same]:
            same += 1
        if same == len(query):
            return float(start)
    return -1.0


@_OF_ROW
def _min_cover(query: Int64Array, title: Int64Array) -> Any:
    """Words in the shortest piece of the title that holds all words of the query, 0 where one is not there."""
    last = np.full(len(query), -1)
    shortest = len(title) + 1
    for at in range(len(title)):
        first = at
        for i in range(len(query)):
            if title[at] == query[i]:
                last[i] = at
            first = min(first, last[i])
        if first >= 0:
            shortest = min(shortest, at - first + 1)
    return float(shortest) if shortest <= len(title) else 0.0


@compiled(types.int64(LONGS, types.int64, types.int64))
def _closest(title: Int64Array, one: int, other: int) -> Any:
    """Least distance between two different words of the title."""
    least = len(title)
    one_at = other_at = -1
    for at in range(len(title)):
        if title[at] == one:
            one_at = at
        elif title[at] == other:
            other_at = at
        else:
            continue
        if one_at >= 0 and other_at >= 0:
            least = min(least, abs(one_at - other_at))
    return least


@compiled(types.UniTuple(types.float64, 3)(LONGS, LONGS))
def _distances(query: Int64Array, title: Int64Array) -> Any:
    """Least, largest and mean of the closest distances between any two words of the query in the title.

    With one of them there the length of the title, with none one more: MinDist, MaxDist and AveDist of Tao and Zhai,
    "An Exploration of Proximity Measures in Information Retrieval" (SIGIR 2007).
    """
    there = 0
    pairs = 0
    least, largest, total = len(title), 0, 0
    for i in range(len(query)):
        if _is_again(query, i) or not _holds(title, query[i]):
            continue
        there += 1
        for j in range(i):
            if not _is_again(query, j) and _holds(title, query[j]):
                distance = _closest(title, query[i], query[j])
                least = min(least, distance)
                largest = max(largest, distance)
                total += distance
                pairs += 1
    if pairs == 0:
        alone = float(len(title) + (1 if there == 0 else 0))
        return alone, alone, alone
    return float(least), float(largest), total / pairs


@compiled(types.float64(types.int64, LONGS, LONGS))
def _overlap_of(method: int, query: Int64Array, title: Int64Array) -> Any:
    if method == 0:
        return _common_ratio(query, title)
    if method == 1:
        return _common_ratio(title, query)
    if method == 2:
        return _is_contain(query, title)
    if method == 3:
        return 1.0 if len(query) == len(title) and _index_of(query, title) == 0 else 0.0
    if method == 4:
        return _index_of(query, title)
    if method == 5:
        return _min_cover(query, title)
    least, largest, mean = _distances(query, title)
    if method == 6:
        return least
    return largest if method == 7 else mean


@compiled(_DOUBLES_OUT(types.int64, LONGS, LONGS, LONGS, LONGS))
def overlap(
    method: int, queries: Int64Array, query_ends: Int64Array, titles: Int64Array, title_ends: Int64Array
) -> Any:
    """A measure of each row, `(B,)`, NaN where the query or the title has no word.

    Args:
        method: position in tzrec.features.types.overlap_feature.METHODS.
        queries: codes of all rows, row after row.
        query_ends: where each row ends in them, `(B,)`.
        titles: the same of the titles.
        title_ends: where each row ends in them, `(B,)`.
    """
    out = np.full(len(query_ends), np.nan)
    query_at = title_at = 0
    for row in range(len(query_ends)):
        if query_ends[row] > query_at and title_ends[row] > title_at:
            out[row] = _overlap_of(method, queries[query_at : query_ends[row]], titles[title_at : title_ends[row]])
        query_at, title_at = query_ends[row], title_ends[row]
    return out


@compiled(_DOUBLES_OUT(LONGS, _DOUBLES, LONGS, LONGS, _DOUBLES, LONGS))
def dot(
    keys: Int64Array,
    weights: FloatArray,
    ends: Int64Array,
    other_keys: Int64Array,
    other_weights: FloatArray,
    other_ends: Int64Array,
) -> Any:
    """Sum over the keys that both sides of a row have of the product of their weights, `(B,)`, NaN for an empty side.

    Of equal keys on one side the first counts.

    Args:
        keys: codes of all rows, row after row, `(N,)`.
        weights: of each key, `(N,)`.
        ends: where each row ends in them, `(B,)`.
        other_keys: the same of the other side, `(M,)`.
        other_weights: `(M,)`.
        other_ends: `(B,)`.
    """
    out = np.full(len(ends), np.nan)
    start = other_start = 0
    for row in range(len(ends)):
        end, other_end = ends[row], other_ends[row]
        if end > start and other_end > other_start:
            total = 0.0
            for i in range(start, end):
                if _is_again(keys[start:end], i - start):
                    continue
                for j in range(other_start, other_end):
                    if other_keys[j] == keys[i]:
                        total += weights[i] * other_weights[j]
                        break
            out[row] = total
        start, other_start = end, other_end
    return out
