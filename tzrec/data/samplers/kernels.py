"""Kernels of samplers: hash index of ids, lists of neighbours, alias tables and weighted draws without some rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from tzrec.features.arrays import ByteArray, Int32Array, Int64Array
from tzrec.ops.jit import BOOLS_OUT, INT32S, INT32S_OUT, INT64S, INT64S_OUT, UINT8S, UINT8S_OUT, jit

Float64Array = npt.NDArray[np.float64]

_U64 = types.uint64
_FLOAT64S = types.Array(types.float64, 1, "C", readonly=True)
_FLOAT64S_OUT = types.float64[::1]
_ONE, _UNIT = np.uint64(1), 2.0**-53


@jit(_U64(_U64))
def mix(x: int) -> Any:
    """Hash a number to 64 pseudo-random bits: SplitMix64 of Steele, Lea and Flood (OOPSLA 2014)."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@jit(types.int64(INT64S, INT32S, types.int64))
def _slot(keys: Int64Array, slots: Int32Array, key: int) -> Any:
    """Slot of a key: that of its row, or the empty one in which it belongs."""
    mask = np.uint64(len(slots) - 1)
    slot = mix(np.uint64(key)) & mask
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + _ONE) & mask
    return np.int64(slot)


@jit(BOOLS_OUT(INT64S, INT32S_OUT))
def build_index(keys: Int64Array, slots: Int32Array) -> Any:
    """Enter the rows of keys into a table of slots that are -1; returns a mask of keys that an earlier row has `(N,)`.

    Args:
        keys: `(N,)`.
        slots: as many as a power of two, more than N.
    """
    is_repeated = np.zeros(len(keys), np.bool_)
    for row in range(len(keys)):
        slot = _slot(keys, slots, keys[row])
        if slots[slot] >= 0:
            is_repeated[row] = True
        else:
            slots[slot] = row
    return is_repeated


@jit(INT64S_OUT(INT64S, INT32S, INT64S))
def find(keys: Int64Array, slots: Int32Array, queries: Int64Array) -> Any:
    """Return the row of each queried key, -1 for an unknown one `(Q,)`."""
    rows = np.empty(len(queries), np.int64)
    for i in range(len(queries)):
        rows[i] = slots[_slot(keys, slots, queries[i])]
    return rows


@jit(types.Tuple((INT64S_OUT, INT64S_OUT, INT32S_OUT))(INT64S, INT32S, INT32S_OUT))
def group_targets(sources: Int64Array, targets: Int32Array, slots: Int32Array) -> Any:
    """Group edges by their source; the targets of a source keep their order.

    Args:
        sources: `(E,)`.
        targets: `(E,)`.
        slots: all -1, as many as a power of two, more than E.

    Returns:
        the S distinct sources in the order of their first edges, offsets `(S + 1,)` and targets `(E,)`.
    """
    numbers = np.empty(len(sources), np.int32)
    distinct = np.empty(len(sources), np.int64)
    counts = np.zeros(len(sources) + 1, np.int64)
    size = 0
    for edge in range(len(sources)):
        slot = _slot(distinct, slots, sources[edge])
        if slots[slot] < 0:
            slots[slot] = size
            distinct[size] = sources[edge]
            size += 1
        numbers[edge] = slots[slot]
        counts[numbers[edge] + 1] += 1
    offsets = np.cumsum(counts[: size + 1])
    ends = offsets.copy()
    grouped = np.empty(len(targets), np.int32)
    for edge in range(len(sources)):
        grouped[ends[numbers[edge]]] = targets[edge]
        ends[numbers[edge]] += 1
    return distinct[:size].copy(), offsets, grouped


@jit(types.Tuple((INT64S_OUT, INT32S_OUT))(INT64S, INT32S, INT64S, types.int64))
def neighbours(offsets: Int64Array, targets: Int32Array, sources: Int64Array, limit: int) -> Any:
    """Return the first targets of each source.

    Args:
        offsets: `(S + 1,)`.
        targets: `(E,)`.
        sources: numbers of sources, -1 for one without targets `(Q,)`.
        limit: largest number of targets per source; negative for all.

    Returns:
        offsets `(Q + 1,)` and the targets, one source after the other.
    """
    ends = np.zeros(len(sources) + 1, np.int64)
    for i in range(len(sources)):
        count = 0
        if sources[i] >= 0:
            count = offsets[sources[i] + 1] - offsets[sources[i]]
            if 0 <= limit < count:
                count = limit
        ends[i + 1] = ends[i] + count
    first = np.empty(ends[-1], np.int32)
    for i in range(len(sources)):
        for j in range(ends[i + 1] - ends[i]):
            first[ends[i] + j] = targets[offsets[sources[i]] + j]
    return ends, first


@jit(types.Tuple((_FLOAT64S_OUT, INT32S_OUT))(_FLOAT64S))
def build_alias(weights: Float64Array) -> Any:
    """Build an alias table: Vose, "A linear algorithm for generating random numbers with a given distribution" (1991).

    Args:
        weights: `(N,)`, at least 0, with a positive sum.

    Returns:
        for each row the probability to take it when it is picked `(N,)`, and the row to take otherwise `(N,)`.
    """
    count = len(weights)
    scale = count / weights.sum()
    probability = weights * scale
    alias = np.arange(count).astype(np.int32)
    stack = np.empty(count, np.int32)  # small rows grow from the front, large ones from the back
    small, large, largest = 0, count, 0
    for row in range(count):
        if weights[row] > weights[largest]:
            largest = row
        if probability[row] < 1.0:
            stack[small] = row
            small += 1
        else:
            large -= 1
            stack[large] = row
    while small > 0 and large < count:
        small -= 1
        row, other = stack[small], stack[large]
        alias[row] = other
        probability[other] -= 1.0 - probability[row]
        if probability[other] < 1.0:
            large += 1
            stack[small] = other
            small += 1
    for i in range(small):  # left over by rounding
        if weights[stack[i]] > 0:
            probability[stack[i]] = 1.0
        else:
            alias[stack[i]] = largest
    for i in range(large, count):
        probability[stack[i]] = 1.0
    return probability, alias


@jit(types.float64(_U64))
def uniform(state: int) -> Any:
    """Return a number in [0, 1)."""
    return np.float64(mix(state) >> np.uint64(11)) * _UNIT


@jit(types.float64(INT64S, _FLOAT64S, UINT8S_OUT))
def exclude(rows: Int64Array, weights: Float64Array, bits: ByteArray) -> Any:
    """Set the bit of each row, and return the sum of the weights of those that were not set.

    Args:
        rows: negative ones stand for none.
        weights: `(N,)`.
        bits: a bit for each of N rows.
    """
    total = 0.0
    for row in rows:
        if row >= 0:
            bit = np.uint8(1 << (row & 7))
            if not bits[row >> 3] & bit:
                bits[row >> 3] |= bit
                total += weights[row]
    return total


@jit(INT64S_OUT(_FLOAT64S, INT32S, UINT8S, types.int64, _U64, types.int64))
def draw(probability: Float64Array, alias: Int32Array, bits: ByteArray, count: int, key: int, num_tries: int) -> Any:
    """Draw rows with replacement, weighted by an alias table, and again while the row is an excluded one.

    Args:
        probability: of the alias table `(N,)`.
        alias: of the alias table `(N,)`.
        bits: a bit for each row, 1 for an excluded one.
        count: number of draws.
        key: seed; draw i depends on it and on i alone.
        num_tries: largest number of tries of a draw.

    Returns:
        rows, -1 where all tries are excluded `(count,)`.
    """
    rows = np.empty(count, np.int64)
    for i in range(count):
        stream = mix(key ^ mix(np.uint64(i)))
        rows[i] = -1
        for attempt in range(num_tries):
            state = stream + np.uint64(2 * attempt)
            row = np.int64(uniform(state) * len(probability))
            if uniform(state + _ONE) >= probability[row]:
                row = np.int64(alias[row])
            if not bits[row >> 3] & np.uint8(1 << (row & 7)):
                rows[i] = row
                break
    return rows


@jit(types.UniTuple(types.int64[:, ::1], 2)(UINT8S, INT64S, INT64S, UINT8S, types.int64))
def split_parts(data: ByteArray, starts: Int64Array, ends: Int64Array, delimiter: ByteArray, count: int) -> Any:
    """Split every span into its parts, also empty ones, of which it has `count`.

    Returns:
        starts and ends of the parts `(count, N)`.
    """
    part_starts = np.empty((count, len(starts)), np.int64)
    part_ends = np.empty((count, len(starts)), np.int64)
    size = len(delimiter)
    for row in range(len(starts)):
        at, part = starts[row], 0
        part_starts[0, row] = at
        while part < count - 1:
            is_found = True
            for i in range(size):
                if data[at + i] != delimiter[i]:
                    is_found = False
                    break
            if is_found:
                part_ends[part, row] = at
                part += 1
                at += size
                part_starts[part, row] = at
            else:
                at += 1
        part_ends[part, row] = ends[row]
    return part_starts, part_ends
