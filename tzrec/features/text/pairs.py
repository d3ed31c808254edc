"""Pairs: rows of keys and values, and what is found in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, Int32Array, Int64Array
from tzrec.features.base import BadRows
from tzrec.features.encoders.sparse import report
from tzrec.features.jagged import Elements, Jagged, read, read_map
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import spelled

NO_PAIR = "not key{}value"
WILDCARD = "ALL"


@dataclass(frozen=True)
class Pairs:
    """B rows of keys and values.

    Attributes:
        keys: of all rows, row after row, `(N,)`.
        values: one for each key, `(N,)`.
        lengths: int32 `(B,)`, pairs per row.
    """

    keys: Spans
    values: Elements
    lengths: Int32Array


@dataclass(frozen=True)
class Found:
    """Pairs that words have found.

    Attributes:
        pairs: their numbers `(M,)`.
        words: numbers of the words that found them `(M,)`.
        lengths: int32 `(B,)`, how many each row has found.
    """

    pairs: Int64Array
    words: Int64Array
    lengths: Int32Array

    def owners(self) -> Int64Array:
        """Row of each of them, `(M,)`."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def find(pairs: Pairs, words: Jagged, wildcard: str = "") -> Found:
    """Pairs of each row whose key is one of the row's words, word after word; of equal keys the first counts.

    Args:
        pairs: B rows.
        words: B rows of text.
        wildcard: the word that stands for every key; empty for none.
    """
    from tzrec.features.kernels import text

    keys, sought = pairs.keys, words.elements
    assert isinstance(sought, Spans)
    every = np.frombuffer(wildcard.encode(), np.uint8)
    held = keys.data, keys.starts, keys.ends, pairs.lengths
    looked_for = sought.data, sought.starts, sought.ends, words.counts()
    return Found(*text.select(*held, *looked_for, every))


def read_pairs(array: pa.Array, column: str, between: str, within: str, bad: BadRows) -> Pairs:
    """Read an Arrow column as rows of pairs.

    Args:
        array: B rows of maps, of strings "key:value", or of lists of such.
        column: its name, for the error.
        between: what stands between the pairs of a string.
        within: the character between key and value.
        bad: takes the rows with text that is no pair.

    Raises:
        DataError: the column has another type.
    """
    if pa.types.is_map(array.type):
        keys, values, lengths = read_map(array, column)
        return Pairs(spelled(keys), values, lengths)
    rows = read(array, column, between)
    if not isinstance(rows.elements, Spans):
        rows = Jagged(spelled(rows.elements), rows.lengths)
        assert isinstance(rows.elements, Spans)
    keys, values, good = cut(rows.elements, within)
    if not good.all():
        report(bad, column, NO_PAIR.format(within), np.unique(rows.owners()[~good]), array)
    return Pairs(keys[good], values[good], rows.keep(good).counts())


def cut(pieces: Spans, symbol: str) -> tuple[Spans, Spans, BoolArray]:
    """Cut every piece at its first `symbol`: keys, values, and where neither is empty."""
    from tzrec.features.kernels import text

    cuts = text.find_first(pieces.data, pieces.starts, pieces.ends, ord(symbol))
    behind = np.minimum(cuts + 1, pieces.ends)
    good = (cuts > pieces.starts) & (behind < pieces.ends)
    return Spans(pieces.data, pieces.starts, cuts), Spans(pieces.data, behind, pieces.ends), good
