"""Reference of the string hashes that map ids to rows, over UTF-8 bytes: MurmurHash64A, seed 0xc70f6907, or FarmHash.

The first equals `std::hash<std::string>` of libstdc++ on 64-bit machines, the second TensorFlow's string hash. The
kernels are `tzrec.features.kernels.parse` and `tzrec.features.kernels.farm_hash`.
"""

from __future__ import annotations

SEED = 0xC70F6907
_MIX = 0xC6A4A7935BD1E995
_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def murmur64a(data: bytes, seed: int = SEED) -> int:
    """Return MurmurHash64A (Austin Appleby, public domain) of bytes, as an unsigned 64-bit number."""
    state = (seed ^ len(data) * _MIX) & _MASK
    body = len(data) & ~7
    for at in range(0, body, 8):
        block = int.from_bytes(data[at : at + 8], "little") * _MIX & _MASK
        block = (block ^ block >> 47) * _MIX & _MASK
        state = (state ^ block) * _MIX & _MASK
    if body < len(data):
        state = (state ^ int.from_bytes(data[body:], "little")) * _MIX & _MASK
    state = (state ^ state >> 47) * _MIX & _MASK
    return state ^ state >> 47


def farm64(data: bytes) -> int:
    """Return FarmHash Fingerprint64 (Google, MIT licence) of bytes, as an unsigned 64-bit number."""
    size = len(data)
    factor = _K2 + 2 * size
    if size > 64:
        return _farm_long(data)
    if size > 16:
        return _farm_middle(data, factor)
    if size >= 8:
        a, b = _word(data, 0) + _K2, _word(data, size - 8)
        return _mix(_rotate(b, 37) * factor + a, (_rotate(a, 25) + b) * factor, factor)
    if size >= 4:
        head, tail = (int.from_bytes(part, "little") for part in (data[:4], data[-4:]))
        return _mix(size + (head << 3), tail, factor)
    if size:
        y, z = data[0] + (data[size >> 1] << 8), size + (data[-1] << 2)
        return _fold(y * _K2 ^ z * _K0) * _K2 & _MASK
    return _K2


def bucket(word: str, size: int, farm: bool = False) -> int:
    """Return the row of a word in a table of `size` rows; `farm` uses FarmHash instead of MurmurHash64A."""
    return (farm64 if farm else murmur64a)(word.encode()) % size


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _rotate(value: int, by: int) -> int:
    """Rotate to the right."""
    value &= _MASK
    return (value >> by | value << 64 - by) & _MASK


def _fold(value: int) -> int:
    value &= _MASK
    return value ^ value >> 47


def _mix(u: int, v: int, factor: int) -> int:
    """Mix two numbers into one."""
    a = _fold((u ^ v) * factor)
    return _fold((v ^ a) * factor) * factor & _MASK


def _farm_middle(data: bytes, factor: int) -> int:
    """Hash 17 to 64 bytes."""
    size = len(data)
    if size <= 32:
        return _farm_ends(data, _word(data, 0) * _K1, factor)[1]
    first = _word(data, 0) * _K2
    y, z = _farm_ends(data, first, factor)
    e, f = _word(data, 16) * factor, _word(data, 24)
    g, h = (y + _word(data, size - 32)) * factor, (z + _word(data, size - 24)) * factor
    return _mix(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + first, 18) + g, factor)


def _farm_ends(data: bytes, a: int, factor: int) -> tuple[int, int]:
    """Mix the first and last 16 bytes; `a` is the first 8 of them, multiplied."""
    b, c, d = _word(data, 8), _word(data, len(data) - 8) * factor, _word(data, len(data) - 16) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    return y, _mix(y, a + _rotate(b + _K2, 18) + c, factor)


def _farm_long(data: bytes) -> int:
    """Hash more than 64 bytes: 64 at a time, and the last 64 once more."""
    left = len(data) - 1 & 63
    y = 81 * _K1 + 113
    state: tuple[int, ...] = (81 * _K2 + _word(data, 0), y, _fold(y * _K2 + 113) * _K2, 0, 0, 0, 0)
    for at in range(0, len(data) - 1 - left, 64):
        state = _farm_round(data[at : at + 64], state, _K1, 1)
    x, y, z, v0, v1, w0, w1 = state
    factor = _K1 + ((z & 0xFF) << 1)
    v0 += w0 + left
    x, y, z, v0, v1, w0, w1 = _farm_round(data[-64:], (x, y, z, v0, v1, w0 + left + v0, w1), factor, 9)
    head = _mix(v0, w0, factor) + _fold(y) * _K0 + z
    return _mix(head, _mix(v1, w1, factor) + x, factor)


def _farm_round(data: bytes, state: tuple[int, ...], factor: int, weight: int) -> tuple[int, ...]:
    """Mix 64 bytes into the state."""
    x, y, z, v0, v1, w0, w1 = state
    x = (_rotate(x + y + v0 + _word(data, 8), 37) * factor) ^ (w1 * weight)
    y = _rotate(y + v1 + _word(data, 48), 42) * factor + v0 * weight + _word(data, 40)
    z = _rotate(z + w0, 33) * factor
    v0, v1 = _farm_mix32(data, 0, v1 * factor, x + w0)
    w0, w1 = _farm_mix32(data, 32, z + w1, y + _word(data, 16))
    return tuple(value & _MASK for value in (z, y, x, v0, v1, w0, w1))


def _farm_mix32(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """Mix 32 bytes and two seeds into two numbers."""
    last = _word(data, at + 24)
    a += _word(data, at)
    b = _rotate(b + a + last, 21)
    middle = a + _word(data, at + 8) + _word(data, at + 16)
    return middle + last, b + _rotate(middle, 44) + a
