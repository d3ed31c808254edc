"""The string hash that turns ids into rows: MurmurHash64A, seed 0xc70f6907, over UTF-8 bytes.

It equals `std::hash<std::string>` of libstdc++ on 64-bit machines. This is the readable form, used where a single
word is hashed; whole columns go through `tzrec.features.kernels`.
"""

from __future__ import annotations

SEED = 0xC70F6907
_MIX = 0xC6A4A7935BD1E995
_MASK = (1 << 64) - 1


def murmur64a(data: bytes, seed: int = SEED) -> int:
    """MurmurHash64A (Austin Appleby, public domain) of some bytes, as an unsigned 64-bit number."""
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


def bucket(word: str, size: int) -> int:
    """Row of a word in a table of `size` rows."""
    return murmur64a(word.encode()) % size
