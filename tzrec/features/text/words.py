"""Words: columns of any type read as text, and their crosses."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.bad_rows import BadRows
from tzrec.features.jagged import Elements, Jagged, read_jagged
from tzrec.features.numbers import to_integers
from tzrec.features.text.spans import Spans, split, to_decimals


def read_words(array: pa.Array, column: str, separator: str, bad: BadRows, has_fractions: bool = False) -> Jagged:
    """Read an Arrow column as rows of words; numbers are written in decimal.

    Args:
        array: B rows.
        column: its name, for the error.
        separator: separates the values of a string.
        bad: collects the rows with numbers that are not whole, which have no word.
        has_fractions: numbers that are not whole are words too, in their shortest form, as 0.25.

    Raises:
        DataError: the column has a type that is neither text nor numbers.
    """
    rows = read_jagged(array, column, separator)
    if isinstance(rows.elements, Spans):
        return rows
    values, invalid = to_integers(rows.elements)
    if invalid and has_fractions:
        texts = pc.if_else(
            pa.array(values == rows.elements),
            pa.array(values).cast(pa.string()),
            pa.array(rows.elements).cast(pa.string()),
        )
        return Jagged(split(texts)[0], rows.lengths)
    rows = Jagged(to_decimals(values), rows.lengths)
    return rows.keep(bad.report_invalid(column, invalid, rows.row_indices(), array)) if invalid else rows


def to_text(elements: Elements) -> Spans:
    """Write elements as text; the text of a number that is not whole is arbitrary."""
    return elements if isinstance(elements, Spans) else to_decimals(to_integers(elements)[0])


def cross(left: Jagged, right: Jagged) -> Jagged:
    """Join every pair of a left and a right word of each row by "_", left outermost."""
    from tzrec.features.kernels import text

    left_words, right_words = left.elements, right.elements
    assert isinstance(left_words, Spans) and isinstance(right_words, Spans)
    left_arrays = left_words.data, left_words.starts, left_words.ends, left.row_lengths()
    right_arrays = right_words.data, right_words.starts, right_words.ends, right.row_lengths()
    data, starts, ends, lengths = text.cross(*left_arrays, *right_arrays)
    return Jagged(Spans(data, starts, ends), lengths)


def join(left: Spans, right: Spans) -> Spans:
    """Join words pairwise by "_"."""
    joined = cross(Jagged(left, None), Jagged(right, None)).elements
    assert isinstance(joined, Spans)
    return joined
