"""Kernels over Arrow text buffers: split, hash, parse; compiled once, cached on disk, free of the GIL.

Import this module only where text has to be read: importing numba takes half a second. A piece of text is a span
`data[start:end]`, so nothing is copied and no Python object is made per value.
`tests/features/reference/text.py` holds the same functions in plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import BoolArray, ByteArray, Int64Array
from tzrec.features.kernels.jit import BYTES as _BYTES
from tzrec.features.kernels.jit import BYTES_OUT as _BYTES_OUT
from tzrec.features.kernels.jit import FLAGS as _FLAGS
from tzrec.features.kernels.jit import FLAGS_OUT as _FLAGS_OUT
from tzrec.features.kernels.jit import INTS_OUT as _INTS_OUT
from tzrec.features.kernels.jit import LONGS as _LONGS
from tzrec.features.kernels.jit import LONGS_OUT as _LONGS_OUT
from tzrec.features.kernels.jit import compiled as _compiled
from tzrec.features.kernels.jit import load64

_POWERS = np.array([float(f"1e{i}") for i in range(310)])  # the last one is infinite

_MINUS, _PLUS, _POINT, _SPACE = ord("-"), ord("+"), ord("."), ord(" ")
_ZERO, _NINE, _LOWER_E, _UPPER_E = ord("0"), ord("9"), ord("e"), ord("E")


@_compiled(types.boolean(_BYTES, _LONGS, _LONGS, types.uint8))
def _may_hold(data: ByteArray, begins: Int64Array, stops: Int64Array, symbol: int) -> Any:
    """False only where no row holds the symbol; rows that lie in order are looked through as one piece of text."""
    rows = len(begins)
    for row in range(1, rows):
        if begins[row] < stops[row - 1]:
            return True
    held = False
    if rows:
        for at in range(begins[0], stops[rows - 1]):  # no way out, so that it compiles to vector instructions
            held |= data[at] == symbol
    return held


@_compiled(types.Tuple((_LONGS_OUT, _LONGS_OUT, _INTS_OUT))(_BYTES, _LONGS, _LONGS, _FLAGS, _BYTES, types.int64))
def split(
    data: ByteArray, begins: Int64Array, stops: Int64Array, null: BoolArray, separator: ByteArray, limit: int
) -> Any:
    """Split B rows of text into their non-empty parts.

    Args:
        data: holds the text of all rows.
        begins: `(B,)`, row i is `data[begins[i]:stops[i]]`.
        stops: `(B,)`.
        null: `(B,)`, or empty where no row is null.
        separator: its bytes; empty for no splitting.
        limit: parts to keep per row, 0 for all.

    Returns:
        starts `(N,)` and ends `(N,)` of the parts, and parts per row `(B,)`.
    """
    rows = len(begins)
    width = len(separator)
    if width and not _may_hold(data, begins, stops, separator[0]):
        width = 0
    # A row of n bytes has at most (n + 1) / 2 non-empty parts.
    room = rows
    if width:
        for row in range(rows):
            room += (stops[row] - begins[row]) // 2
    starts = np.empty(room, np.int64)
    ends = np.empty(room, np.int64)
    lengths = np.zeros(rows, np.int32)
    found = 0
    for row in range(rows):
        if len(null) and null[row]:
            continue
        first = found
        start = at = begins[row]
        stop = stops[row]
        if width == 0:
            at = stop
        while at <= stop:
            cut = at == stop
            if not cut and at + width <= stop and data[at] == separator[0]:
                cut = True
                for i in range(1, width):
                    cut = cut and data[at + i] == separator[i]
            if not cut:
                at += 1
                continue
            if at > start:
                starts[found] = start
                ends[found] = at
                found += 1
                if found - first == limit:
                    break
            at += max(width, 1)
            start = at
        lengths[row] = found - first
    return starts[:found].copy(), ends[:found].copy(), lengths


@_compiled(types.uint64(_BYTES, types.int64, types.int64))
def _murmur64a(data: ByteArray, start: int, end: int) -> Any:
    """MurmurHash64A of `data[start:end]` with the seed of libstdc++."""
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


@_compiled(_LONGS_OUT(_BYTES, _LONGS, _LONGS, types.uint64))
def hash_text(data: ByteArray, starts: Int64Array, ends: Int64Array, size: int) -> Any:
    """MurmurHash64A of every span, modulo `size`."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        out[i] = np.int64(_murmur64a(data, starts[i], ends[i]) % size)
    return out


@_compiled(_LONGS_OUT(_LONGS, types.uint64))
def hash_integers(values: Int64Array, size: int) -> Any:
    """MurmurHash64A of the decimal text of every number, modulo `size`."""
    out = np.empty(len(values), np.int64)
    text = np.empty(20, np.uint8)  # "-9223372036854775808" has 20 characters
    for i in range(len(values)):
        value = values[i]
        rest = np.uint64(value)
        if value < 0:
            rest = ~rest + np.uint64(1)  # the smallest int64 has no positive twin in int64
        at = 20
        while True:
            at -= 1
            text[at] = _ZERO + rest % np.uint64(10)
            rest //= np.uint64(10)
            if rest == 0:
                break
        if value < 0:
            at -= 1
            text[at] = _MINUS
        out[i] = np.int64(_murmur64a(text, at, 20) % size)
    return out


@_compiled(types.UniTuple(types.int64, 2)(_BYTES, types.int64, types.int64))
def _trim(data: ByteArray, start: int, end: int) -> Any:
    """The span without blanks at both ends."""
    while start < end and data[start] == _SPACE:
        start += 1
    while end > start and data[end - 1] == _SPACE:
        end -= 1
    return start, end


@_compiled(types.Tuple((_LONGS_OUT, _FLAGS_OUT))(_BYTES, _LONGS, _LONGS))
def parse_integers(data: ByteArray, starts: Int64Array, ends: Int64Array) -> Any:
    """Read every span as an int64, `12.0` included; returns the numbers, 0 where it is none, and where it is one."""
    out = np.zeros(len(starts), np.int64)
    good = np.zeros(len(starts), np.bool_)
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
            good[i] = True
    return out, good


@_compiled(types.Tuple((types.float64, types.int64, types.int64))(_BYTES, types.int64, types.int64))
def _parse_decimal(data: ByteArray, at: int, end: int) -> Any:
    """Digits with at most one point: the 19 leading digits as a number, the power of ten left over, where it ends.

    It ends at -1 where there is no digit.
    """
    mantissa = np.uint64(0)
    kept = digits = power = 0
    point = False
    while at < end:
        symbol = data[at]
        if symbol == _POINT and not point:
            point = True
        elif _ZERO <= symbol <= _NINE:
            digits += 1
            if kept < 19:
                mantissa = mantissa * np.uint64(10) + np.uint64(symbol - _ZERO)
                kept += 1 if mantissa else 0
                power -= 1 if point else 0
            else:
                power += 0 if point else 1
        else:
            break
        at += 1
    return np.float64(mantissa), power, at if digits else -1


@_compiled(types.Tuple((types.float64[::1], _FLAGS_OUT))(_BYTES, _LONGS, _LONGS))
def parse_floats(data: ByteArray, starts: Int64Array, ends: Int64Array) -> Any:
    """Read every span as a decimal number; returns the numbers, 0 where it is none, and where it is one.

    Numbers of up to 15 digits with a power of ten up to 22 are exact; others are within two units in the last
    place of float64, far inside float32. `nan` and `inf` are no numbers here.
    """
    out = np.zeros(len(starts), np.float64)
    good = np.zeros(len(starts), np.bool_)
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
        if value == 0.0:  # or 0e999 would be 0 times infinity
            power = 0
        if power < -308:  # in two steps, for 10 ** -320 is no full float64
            value /= 1e300
            power = max(power + 300, -308)
        value = value * _POWERS[min(power, 309)] if power >= 0 else value / _POWERS[-power]
        if np.isfinite(value):
            out[i] = -value if negative else value
            good[i] = True
    return out, good


@_compiled(_LONGS_OUT(_BYTES, _LONGS, _LONGS, types.uint8))
def find_last(data: ByteArray, starts: Int64Array, ends: Int64Array, symbol: int) -> Any:
    """Position of the last `symbol` in every span, its end where there is none."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        at = ends[i] - 1
        while at >= starts[i] and data[at] != symbol:
            at -= 1
        out[i] = at if at >= starts[i] else ends[i]
    return out


@_compiled(types.Tuple((_LONGS_OUT, _BYTES_OUT))(_BYTES, _LONGS, _LONGS))
def gather(data: ByteArray, starts: Int64Array, ends: Int64Array) -> Any:
    """Copy the spans end to end: offsets `(N + 1,)` and bytes, the buffers of an Arrow large_string array."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    for i in range(len(starts)):
        offsets[i + 1] = offsets[i] + ends[i] - starts[i]
    out = np.empty(offsets[-1], np.uint8)
    for i in range(len(starts)):
        out[offsets[i] : offsets[i + 1]] = data[starts[i] : ends[i]]
    return offsets, out
