"""64-bit hashes of words, which compare faster than text."""

from __future__ import annotations

from tzrec.features.arrays import Int64Array
from tzrec.features.text.spans import Spans

_SIZE = 1 << 63
"""Hashes are taken modulo this: two of a million distinct words collide with a probability of one in ten million."""


def string_hash(words: Spans) -> Int64Array:
    """Return a hash of each word, `(N,)`, equal for equal words."""
    return words.hash(_SIZE)
