"""Kernels over the words of two columns, row by row: overlap measures and dot products.

Words are passed as 64-bit string hashes, which are equal if the words are; no kernel reads text.
`tests/features/reference/pairs.py` holds the same functions in plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import FloatArray, Int64Array
from tzrec.ops.jit import INT64S, jit

_FLOAT64S = types.Array(types.float64, 1, "C", readonly=True)
_FLOAT64S_OUT = types.float64[::1]
_measure = jit(types.float64(INT64S, INT64S))


@jit(types.boolean(INT64S, types.int64))
def _is_repeated(words: Int64Array, at: int) -> Any:
    """Return true if a word occurs before `at` as well."""
    is_repeated = False
    for i in range(at):
        is_repeated = is_repeated or words[i] == words[at]
    return is_repeated


@jit(types.boolean(INT64S, types.int64))
def _contains(words: Int64Array, word: int) -> Any:
    contains = False
    for other_word in words:
        contains = contains or other_word == word
    return contains


@_measure
def _common_ratio(words: Int64Array, other_words: Int64Array) -> Any:
    """Return the share of distinct words that the other side has."""
    distinct = common = 0
    for i in range(len(words)):
        if not _is_repeated(words, i):
            distinct += 1
            common += 1 if _contains(other_words, words[i]) else 0
    return common / distinct


@_measure
def _is_contain(query: Int64Array, title: Int64Array) -> Any:
    """Return 1 if the title has all words of the query in their order, with or without words in between."""
    at = 0
    for word in title:
        if at < len(query) and word == query[at]:
            at += 1
    return 1.0 if at == len(query) else 0.0


@_measure
def _index_of(query: Int64Array, title: Int64Array) -> Any:
    """Return the first position of the whole query in the title, -1 if it is not there."""
    for start in range(len(title) - len(query) + 1):
        equal = 0
        while equal < len(query) and title[start + equal] == query[equal]:
            equal += 1
        if equal == len(query):
            return float(start)
    return -1.0


@_measure
def _min_cover(query: Int64Array, title: Int64Array) -> Any:
    """Return the length of the shortest span of the title with all words of the query, 0 if one is not there."""
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


@jit(types.int64(INT64S, types.int64, types.int64))
def _min_distance(title: Int64Array, left: int, right: int) -> Any:
    """Return the smallest distance between two distinct words of the title."""
    least = len(title)
    left_at = right_at = -1
    for at in range(len(title)):
        if title[at] == left:
            left_at = at
        elif title[at] == right:
            right_at = at
        else:
            continue
        if left_at >= 0 and right_at >= 0:
            least = min(least, abs(left_at - right_at))
    return least


@jit(types.UniTuple(types.float64, 3)(INT64S, INT64S))
def _distances(query: Int64Array, title: Int64Array) -> Any:
    """Return minimum, maximum and mean of the smallest distances between any two query words in the title.

    If the title has only one query word, they are the length of the title, with none one more. These are MinDist,
    MaxDist and AveDist of Tao and Zhai, "An Exploration of Proximity Measures in Information Retrieval" (SIGIR 2007).
    """
    num_present = 0
    pairs = 0
    least, largest, total = len(title), 0, 0
    for i in range(len(query)):
        if _is_repeated(query, i) or not _contains(title, query[i]):
            continue
        num_present += 1
        for j in range(i):
            if not _is_repeated(query, j) and _contains(title, query[j]):
                distance = _min_distance(title, query[i], query[j])
                least = min(least, distance)
                largest = max(largest, distance)
                total += distance
                pairs += 1
    if pairs == 0:
        distance = len(title) + (1 if num_present == 0 else 0)
        return float(distance), float(distance), float(distance)
    return float(least), float(largest), total / pairs


@jit(types.float64(types.int64, INT64S, INT64S))
def _overlap_row(method: int, query: Int64Array, title: Int64Array) -> Any:
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


@jit(_FLOAT64S_OUT(types.int64, INT64S, INT64S, INT64S, INT64S))
def overlap(
    method: int, queries: Int64Array, query_ends: Int64Array, titles: Int64Array, title_ends: Int64Array
) -> Any:
    """Compute a measure of each row, `(B,)`, NaN if the query or the title has no word.

    Args:
        method: position in tzrec.features.types.overlap_feature.METHODS.
        queries: string hashes of all rows, row after row.
        query_ends: end of each row in them, `(B,)`.
        titles: the same of the titles.
        title_ends: end of each row in them, `(B,)`.
    """
    out = np.full(len(query_ends), np.nan)
    query_at = title_at = 0
    for row in range(len(query_ends)):
        if query_ends[row] > query_at and title_ends[row] > title_at:
            out[row] = _overlap_row(method, queries[query_at : query_ends[row]], titles[title_at : title_ends[row]])
        query_at, title_at = query_ends[row], title_ends[row]
    return out


@jit(_FLOAT64S_OUT(INT64S, _FLOAT64S, INT64S, INT64S, _FLOAT64S, INT64S))
def dot(
    keys: Int64Array,
    weights: FloatArray,
    ends: Int64Array,
    other_keys: Int64Array,
    other_weights: FloatArray,
    other_ends: Int64Array,
) -> Any:
    """Sum the products of the weights of the keys that both sides of a row have, `(B,)`, NaN for an empty side.

    Of equal keys on one side the first counts.

    Args:
        keys: string hashes of all rows, row after row, `(N,)`.
        weights: of each key, `(N,)`.
        ends: end of each row in them, `(B,)`.
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
                if _is_repeated(keys[start:end], i - start):
                    continue
                for j in range(other_start, other_end):
                    if other_keys[j] == keys[i]:
                        total += weights[i] * other_weights[j]
                        break
            out[row] = total
        start, other_start = end, other_end
    return out
