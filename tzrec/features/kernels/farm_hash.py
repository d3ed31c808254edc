"""FarmHash Fingerprint64 of text spans; `tests/features/reference/hashes.py` has the readable form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import ByteArray, Int64Array
from tzrec.ops.jit import INT64S, INT64S_OUT, UINT8S, jit

_K0, _K1, _K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
_U64 = types.uint64
_SHIFT = np.uint64(47)


@jit(_U64(UINT8S, types.int64, types.int64))
def _fetch(data: ByteArray, at: int, count: int) -> Any:
    """Load `count` bytes as a little-endian number."""
    value = np.uint64(0)
    for i in range(count):
        value |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return value


@jit(_U64(_U64, _U64))
def _rotate(value: int, by: int) -> Any:
    """Rotate to the right."""
    return (value >> by) | (value << (np.uint64(64) - by))


@jit(_U64(_U64))
def _fold(value: int) -> Any:
    return value ^ (value >> _SHIFT)


@jit(_U64(_U64, _U64, _U64))
def _mix(u: int, v: int, factor: int) -> Any:
    """Mix two numbers into one."""
    a = _fold((u ^ v) * factor)
    return _fold((v ^ a) * factor) * factor


@jit(_U64(UINT8S, types.int64, types.int64))
def _short(data: ByteArray, start: int, size: int) -> Any:
    """Hash up to 16 bytes."""
    if size >= 8:
        factor = _K2 + np.uint64(size * 2)
        a = _fetch(data, start, 8) + _K2
        b = _fetch(data, start + size - 8, 8)
        return _mix(_rotate(b, np.uint64(37)) * factor + a, (_rotate(a, np.uint64(25)) + b) * factor, factor)
    if size >= 4:
        factor = _K2 + np.uint64(size * 2)
        head = np.uint64(size) + (_fetch(data, start, 4) << np.uint64(3))
        return _mix(head, _fetch(data, start + size - 4, 4), factor)
    if size > 0:
        y = np.uint64(data[start]) + (np.uint64(data[start + (size >> 1)]) << np.uint64(8))
        z = np.uint64(size) + (np.uint64(data[start + size - 1]) << np.uint64(2))
        return _fold(y * _K2 ^ z * _K0) * _K2
    return _K2


@jit(types.UniTuple(_U64, 2)(UINT8S, types.int64, types.int64, _U64, _U64))
def _ends(data: ByteArray, start: int, size: int, a: int, factor: int) -> Any:
    """Mix the first and last 16 of 17 to 64 bytes into two numbers; `a` is the first 8 of them, multiplied."""
    b = _fetch(data, start + 8, 8)
    c = _fetch(data, start + size - 8, 8) * factor
    d = _fetch(data, start + size - 16, 8) * _K2
    y = _rotate(a + b, np.uint64(43)) + _rotate(c, np.uint64(30)) + d
    return y, _mix(y, a + _rotate(b + _K2, np.uint64(18)) + c, factor)


@jit(_U64(UINT8S, types.int64, types.int64))
def _middle(data: ByteArray, start: int, size: int) -> Any:
    """Hash 17 to 64 bytes."""
    factor = _K2 + np.uint64(size * 2)
    if size <= 32:
        return _ends(data, start, size, _fetch(data, start, 8) * _K1, factor)[1]
    first = _fetch(data, start, 8) * _K2
    y, z = _ends(data, start, size, first, factor)
    e = _fetch(data, start + 16, 8) * factor
    f = _fetch(data, start + 24, 8)
    g = (y + _fetch(data, start + size - 32, 8)) * factor
    h = (z + _fetch(data, start + size - 24, 8)) * factor
    u = _rotate(e + f, np.uint64(43)) + _rotate(g, np.uint64(30)) + h
    return _mix(u, e + _rotate(f + first, np.uint64(18)) + g, factor)


@jit(types.UniTuple(_U64, 2)(UINT8S, types.int64, _U64, _U64))
def _mix32(data: ByteArray, at: int, a: int, b: int) -> Any:
    """Mix 32 bytes and two seeds into two numbers."""
    last = _fetch(data, at + 24, 8)
    a += _fetch(data, at, 8)
    b = _rotate(b + a + last, np.uint64(21))
    before = a
    a += _fetch(data, at + 8, 8) + _fetch(data, at + 16, 8)
    return a + last, b + _rotate(a, np.uint64(44)) + before


@jit(types.UniTuple(_U64, 7)(UINT8S, types.int64, types.UniTuple(_U64, 7), _U64, _U64))
def _round(data: ByteArray, at: int, state: Any, factor: int, weight: int) -> Any:
    """Mix 64 bytes into the state; the last block has weight 9."""
    x, y, z, v0, v1, w0, w1 = state
    x = _rotate(x + y + v0 + _fetch(data, at + 8, 8), np.uint64(37)) * factor
    y = _rotate(y + v1 + _fetch(data, at + 48, 8), np.uint64(42)) * factor
    x ^= w1 * weight
    y += v0 * weight + _fetch(data, at + 40, 8)
    z = _rotate(z + w0, np.uint64(33)) * factor
    v0, v1 = _mix32(data, at, v1 * factor, x + w0)
    w0, w1 = _mix32(data, at + 32, z + w1, y + _fetch(data, at + 16, 8))
    return z, y, x, v0, v1, w0, w1


@jit(_U64(UINT8S, types.int64, types.int64))
def _long(data: ByteArray, start: int, size: int) -> Any:
    """Hash more than 64 bytes."""
    seed, none, one = np.uint64(81), np.uint64(0), np.uint64(1)
    y = seed * _K1 + np.uint64(113)
    z = _fold(y * _K2 + np.uint64(113)) * _K2
    state = (seed * _K2 + _fetch(data, start, 8), y, z, none, none, none, none)
    left = (size - 1) & 63
    for at in range(start, start + size - 1 - left, 64):
        state = _round(data, at, state, _K1, one)
    x, y, z, v0, v1, w0, w1 = state
    factor = _K1 + ((z & np.uint64(0xFF)) << one)
    w0 += np.uint64(left)
    v0 += w0
    w0 += v0
    x, y, z, v0, v1, w0, w1 = _round(data, start + size - 64, (x, y, z, v0, v1, w0, w1), factor, np.uint64(9))
    head = _mix(v0, w0, factor) + _fold(y) * _K0 + z
    return _mix(head, _mix(v1, w1, factor) + x, factor)


@jit(INT64S_OUT(UINT8S, INT64S, INT64S, _U64))
def hash_text(data: ByteArray, starts: Int64Array, ends: Int64Array, size: int) -> Any:
    """Return FarmHash Fingerprint64 of every span, modulo `size`."""
    out = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        start, length = starts[i], ends[i] - starts[i]
        if length <= 16:
            value = _short(data, start, length)
        elif length <= 64:
            value = _middle(data, start, length)
        else:
            value = _long(data, start, length)
        out[i] = np.int64(value % size)
    return out
