"""Words as 64-bit codes, which compare faster than text."""

from __future__ import annotations

import numpy as np

from tzrec.features.arrays import Int64Array
from tzrec.features.jagged import Jagged
from tzrec.features.text.spans import Spans

_ALL = 1 << 63
"""Codes are hashes modulo this: two of a million different words are equal with a chance of one in ten million."""


def codes(words: Spans) -> Int64Array:
    """A code of each word, `(N,)`: equal for equal words."""
    return words.hash(_ALL)


def ends(rows: Jagged) -> Int64Array:
    """Where each row ends in the elements, `(B,)`."""
    if rows.lengths is None:
        return np.arange(1, len(rows.elements) + 1)
    return np.cumsum(rows.lengths, dtype=np.int64)
