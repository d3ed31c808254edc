"""Pairs: rows of keys and values, and their lookup by words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, Int32Array, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.jagged import Elements, Jagged, read_jagged, read_map
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import to_text

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
class Matches:
    """Pairs whose keys match a word.

    Attributes:
        pairs: indices of the pairs `(M,)`.
        words: indices of the words that match them `(M,)`.
        lengths: int32 `(B,)`, matches per row.
    """

    pairs: Int64Array
    words: Int64Array
    lengths: Int32Array

    def row_indices(self) -> Int64Array:
        """Return the row of each match, `(M,)`."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def find_pairs(pairs: Pairs, words: Jagged, wildcard: str = "") -> Matches:
    """Find the pairs of each row whose key is one of the row's words, word after word; of equal keys the first counts.

    Args:
        pairs: B rows.
        words: B rows of text.
        wildcard: the word that matches every key; "" for none.
    """
    from tzrec.features.kernels import text

    keys, spans = pairs.keys, words.elements
    assert isinstance(spans, Spans)
    key_arrays = keys.data, keys.starts, keys.ends, pairs.lengths
    word_arrays = spans.data, spans.starts, spans.ends, words.row_lengths()
    return Matches(*text.select(*key_arrays, *word_arrays, np.frombuffer(wildcard.encode(), np.uint8)))


def read_pairs(array: pa.Array, column: str, separator: str, key_delimiter: str, bad: BadRows) -> Pairs:
    """Read an Arrow column as rows of pairs.

    Args:
        array: B rows of maps, of strings "key:value", or of lists of such strings.
        column: its name, for the error.
        separator: separates the pairs of a string.
        key_delimiter: the character between key and value.
        bad: collects the rows with text that is not a pair.

    Raises:
        DataError: the column has another type.
    """
    if pa.types.is_map(array.type):
        keys, values, lengths = read_map(array, column)
        return Pairs(to_text(keys), values, lengths)
    rows = read_jagged(array, column, separator)
    pieces = to_text(rows.elements)
    rows = Jagged(pieces, rows.lengths)
    key_spans, value_spans, is_pair = split_pairs(pieces, key_delimiter)
    if not is_pair.all():
        bad.report_array(column, NO_PAIR.format(key_delimiter), np.unique(rows.row_indices()[~is_pair]), array)
    return Pairs(key_spans[is_pair], value_spans[is_pair], rows.keep(is_pair).row_lengths())


def split_pairs(pieces: Spans, delimiter: str) -> tuple[Spans, Spans, BoolArray]:
    """Split every piece at its first `delimiter` into key and value; the mask is true if neither is empty."""
    from tzrec.features.kernels import text

    key_ends = text.find_first(pieces.data, pieces.starts, pieces.ends, ord(delimiter))
    value_starts = np.minimum(key_ends + 1, pieces.ends)
    is_pair = (key_ends > pieces.starts) & (value_starts < pieces.ends)
    keys, values = Spans(pieces.data, pieces.starts, key_ends), Spans(pieces.data, value_starts, pieces.ends)
    return keys, values, is_pair
