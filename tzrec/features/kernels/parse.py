"""Kernels over Arrow text buffers: split, hash, parse.

Import this module on first use only: importing numba takes half a second. A piece of text is a span `data[start:end]`,
so nothing is copied and no Python object is made per value. `tests/features/reference/text.py` holds the same functions
in plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import BoolArray, ByteArray, Int64Array
from tzrec.ops.jit import BOOLS, BOOLS_OUT, INT32S_OUT, INT64S, INT64S_OUT, UINT8S, UINT8S_OUT, jit, load64

DECIMAL_SIZE = 20  # "-9223372036854775808" has 20 characters
_POWERS = np.array([float(f"1e{i}") for i in range(310)])  # the last one is infinite

_MINUS, _PLUS, _POINT, _SPACE = ord("-"), ord("+"), ord("."), ord(" ")
_ZERO, _NINE, _LOWER_E, _UPPER_E = ord("0"), ord("9"), ord("e"), ord("E")


@jit(types.boolean(UINT8S, INT64S, INT64S, types.uint8))
def _may_hold(data: ByteArray, begins: Int64Array, stops: Int64Array, symbol: int) -> Any:
    """Return false only if no row contains the symbol; rows in the order of the buffer are scanned as one text."""
    rows = len(begins)
    for row in range(1, rows):
        if begins[row] < stops[row - 1]:
            return True
    contains = False
    if rows:
        for at in range(begins[0], stops[rows - 1]):  # no early exit, so that it compiles to vector instructions
            contains |= data[at] == symbol
    return contains


@jit(types.Tuple((INT64S_OUT, INT64S_OUT, INT32S_OUT))(UINT8S, INT64S, INT64S, BOOLS, UINT8S, types.int64))
def split(
    data: ByteArray, begins: Int64Array, stops: Int64Array, null: BoolArray, separator: ByteArray, limit: int
) -> Any:
    """Split B rows of text into their non-empty parts.

    Args:
        data: text of all rows.
        begins: `(B,)`, row i is `data[begins[i]:stops[i]]`.
        stops: `(B,)`.
        null: `(B,)`, or empty if no row is null.
        separator: its bytes; empty to keep every row whole.
        limit: number of parts to keep per row, 0 for all.

    Returns:
        starts `(N,)` and ends `(N,)` of the parts, and parts per row `(B,)`.
    """
    rows = len(begins)
    width = len(separator)
    if width and not _may_hold(data, begins, stops, separator[0]):
        width = 0
    # A row of n bytes has at most (n + 1) / 2 non-empty parts.
    capacity = rows
    if width:
        for row in range(rows):
            capacity += (stops[row] - begins[row]) // 2
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    lengths = np.zeros(rows, np.int32)
    count = 0
    for row in range(rows):
        if len(null) and null[row]:
            continue
        first = count
        start = at = begins[row]
        stop = stops[row]
        if width == 0:
            at = stop
        while at <= stop:
            is_end = at == stop
            if not is_end and at + width <= stop and data[at] == separator[0]:
                is_end = True
                for i in range(1, width):
                    is_end = is_end and data[at + i] == separator[i]
            if not is_end:
                at += 1
                continue
            if at > start:
                starts[count] = start
                ends[count] = at
                count += 1
                if count - first == limit:
                    break
            at += max(width, 1)
            start = at
        lengths[row] = count - first
    return starts[:count].copy(), ends[:count].copy(), lengths


@jit(types.uint64(UINT8S, types.int64, types.int64))
def _murmur64a(data: ByteArray, start: int, end: int) -> Any:
    """Return MurmurHash64A (Austin Appleby) of `data[start:end]` with the seed of libstdc++'s std::hash."""
    mix = np.uint64(0xC6A4A7935BD1E995)
    shift = np.uint64(47)
    state = np.uint64(0xC70F6907) ^ (np.uint64(end - start) * mix)
    at = start
    while at + 8 <= end:
        block = load64(data, at)
        block *= mix
        block ^= block >> shift
        block *= mix
        state = (state ^ block) * mix
        at += 8
    if at < end:
        if at + 8 <= len(data):
            block = load64(data, at) & (~np.uint64(0) >> np.uint64(8 * (8 - end + at)))
        else:
            block = np.uint64(0)
            for i in range(end - at):
                block |= np.uint64(data[at + i]) << np.uint64(8 * i)
        state = (state ^ block) * mix
    state ^= state >> shift
    state *= mix
    return state ^ (state >> shift)


@jit(INT64S_OUT(UINT8S, INT64S, INT64S, types.uint64))
def hash_text(data: ByteArray, starts: Int64Array, ends: Int64Array, size: int) -> Any:
    """Return MurmurHash64A of every span, modulo `size`."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        out[i] = np.int64(_murmur64a(data, starts[i], ends[i]) % size)
    return out


@jit(types.int64(types.int64, UINT8S_OUT, types.int64))
def write_decimal(value: int, out: ByteArray, end: int) -> Any:
    """Write a number in decimal so that it ends at `out[end - 1]`, and return its start; at most DECIMAL_SIZE bytes."""
    rest = np.uint64(value)
    if value < 0:
        rest = ~rest + np.uint64(1)  # in uint64, because the smallest int64 has no positive counterpart
    at = end
    while True:
        at -= 1
        out[at] = _ZERO + rest % np.uint64(10)
        rest //= np.uint64(10)
        if rest == 0:
            break
    if value < 0:
        at -= 1
        out[at] = _MINUS
    return at


@jit(INT64S_OUT(INT64S, types.uint64))
def hash_integers(values: Int64Array, size: int) -> Any:
    """Return MurmurHash64A of the decimal text of every number, modulo `size`."""
    out = np.empty(len(values), np.int64)
    text = np.empty(DECIMAL_SIZE, np.uint8)
    for i in range(len(values)):
        start = write_decimal(values[i], text, DECIMAL_SIZE)
        out[i] = np.int64(_murmur64a(text, start, DECIMAL_SIZE) % size)
    return out


@jit(types.UniTuple(types.int64, 2)(UINT8S, types.int64, types.int64))
def _trim(data: ByteArray, start: int, end: int) -> Any:
    """Strip blanks at both ends of a span."""
    while start < end and data[start] == _SPACE:
        start += 1
    while end > start and data[end - 1] == _SPACE:
        end -= 1
    return start, end


@jit(types.Tuple((INT64S_OUT, BOOLS_OUT))(UINT8S, INT64S, INT64S))
def parse_integers(data: ByteArray, starts: Int64Array, ends: Int64Array) -> Any:
    """Read every span as an int64, `12.0` included; return the numbers, 0 if invalid, and a mask of the valid ones."""
    out = np.zeros(len(starts), np.int64)
    valid = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        at, end = _trim(data, starts[i], ends[i])
        negative = at < end and data[at] == _MINUS
        if at < end and (negative or data[at] == _PLUS):
            at += 1
        bound = np.uint64(0x8000000000000000) if negative else np.uint64(0x7FFFFFFFFFFFFFFF)
        value = np.uint64(0)
        digits = 0
        while at < end and _ZERO <= data[at] <= _NINE:
            digit = np.uint64(data[at] - _ZERO)
            if value > (bound - digit) // np.uint64(10):
                break
            value = value * np.uint64(10) + digit
            digits += 1
            at += 1
        if digits and at < end and data[at] == _POINT:
            at += 1
            while at < end and data[at] == _ZERO:
                at += 1
        if digits and at == end:
            out[i] = np.int64(~value + np.uint64(1)) if negative else np.int64(value)
            valid[i] = True
    return out, valid


@jit(types.Tuple((types.float64, types.int64, types.int64))(UINT8S, types.int64, types.int64))
def _parse_decimal(data: ByteArray, at: int, end: int) -> Any:
    """Read digits with at most one point.

    Returns:
        the 19 leading digits as a number, the remaining power of ten, and the end, -1 if there is no digit.
    """
    mantissa = np.uint64(0)
    significant = digits = power = 0
    point = False
    while at < end:
        symbol = data[at]
        if symbol == _POINT and not point:
            point = True
        elif _ZERO <= symbol <= _NINE:
            digits += 1
            if significant < 19:
                mantissa = mantissa * np.uint64(10) + np.uint64(symbol - _ZERO)
                significant += 1 if mantissa else 0
                power -= 1 if point else 0
            else:
                power += 0 if point else 1
        else:
            break
        at += 1
    return np.float64(mantissa), power, at if digits else -1


@jit(types.Tuple((types.float64[::1], BOOLS_OUT))(UINT8S, INT64S, INT64S))
def parse_floats(data: ByteArray, starts: Int64Array, ends: Int64Array) -> Any:
    """Read every span as a decimal number; return the numbers, 0 if invalid, and a mask of the valid ones.

    Numbers of up to 15 digits with a power of ten up to 22 are exact; others are within two units in the last
    place of float64, far below the precision of float32. `nan` and `inf` are invalid.
    """
    out = np.zeros(len(starts), np.float64)
    valid = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        at, end = _trim(data, starts[i], ends[i])
        negative = at < end and data[at] == _MINUS
        if at < end and (negative or data[at] == _PLUS):
            at += 1
        value, power, at = _parse_decimal(data, at, end)
        if at < 0:
            continue
        if at < end and (data[at] == _LOWER_E or data[at] == _UPPER_E):
            at += 1
            down = at < end and data[at] == _MINUS
            if at < end and (down or data[at] == _PLUS):
                at += 1
            exponent = 0
            if at == end:
                continue
            while at < end and _ZERO <= data[at] <= _NINE:
                exponent = min(exponent * 10 + np.int64(data[at] - _ZERO), 100000)
                at += 1
            power += -exponent if down else exponent
        if at != end:
            continue
        if value == 0.0:  # otherwise 0e999 is 0 times infinity
            power = 0
        if power < -308:  # in two steps, because 10 ** -320 is subnormal
            value /= 1e300
            power = max(power + 300, -308)
        value = value * _POWERS[min(power, 309)] if power >= 0 else value / _POWERS[-power]
        if np.isfinite(value):
            out[i] = -value if negative else value
            valid[i] = True
    return out, valid


@jit(INT64S_OUT(UINT8S, INT64S, INT64S, types.uint8))
def find_last(data: ByteArray, starts: Int64Array, ends: Int64Array, symbol: int) -> Any:
    """Return the position of the last `symbol` in every span, its end if there is none."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        at = ends[i] - 1
        while at >= starts[i] and data[at] != symbol:
            at -= 1
        out[i] = at if at >= starts[i] else ends[i]
    return out


@jit(types.Tuple((INT64S_OUT, UINT8S_OUT))(UINT8S, INT64S, INT64S))
def gather(data: ByteArray, starts: Int64Array, ends: Int64Array) -> Any:
    """Copy the spans end to end: offsets `(N + 1,)` and bytes, the buffers of an Arrow large_string array."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    for i in range(len(starts)):
        offsets[i + 1] = offsets[i] + ends[i] - starts[i]
    out = np.empty(offsets[-1], np.uint8)
    for i in range(len(starts)):
        out[offsets[i] : offsets[i + 1]] = data[starts[i] : ends[i]]
    return offsets, out
