"""Words: columns read as text, whatever they hold, and what can be done with two of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tzrec.features.base import BadRows
from tzrec.features.bucketize import integers
from tzrec.features.encoders.sparse import report
from tzrec.features.jagged import Elements, Jagged, read
from tzrec.features.text.spans import Spans, decimals


def read_words(array: pa.Array, column: str, separator: str, bad: BadRows) -> Jagged:
    """Read an Arrow column as rows of words; numbers are written in decimal.

    Args:
        array: B rows.
        column: its name, for the error.
        separator: what stands between the values of a string.
        bad: takes the rows with numbers that are not whole, which have no word.

    Raises:
        DataError: the column has a type that is neither text nor numbers.
    """
    rows = read(array, column, separator)
    if isinstance(rows.elements, Spans):
        return rows
    values, faults = integers(rows.elements)
    rows = Jagged(decimals(values), rows.lengths)
    for fault in faults:
        report(bad, column, fault.reason, np.unique(rows.owners()[fault.mask]), array)
        rows = rows.keep(~fault.mask)
    return rows


def spelled(elements: Elements) -> Spans:
    """Elements as text; those of no whole number are arbitrary."""
    return elements if isinstance(elements, Spans) else decimals(integers(elements)[0])


def cross(left: Jagged, right: Jagged) -> Jagged:
    """Every pair of a left and a right word of each row, joined by "_", left outermost."""
    from tzrec.features.kernels import text

    one, other = left.elements, right.elements
    assert isinstance(one, Spans) and isinstance(other, Spans)
    data, starts, ends, lengths = text.cross(
        *(one.data, one.starts, one.ends, left.counts()), *(other.data, other.starts, other.ends, right.counts())
    )
    return Jagged(Spans(data, starts, ends), lengths)


def join(left: Spans, right: Spans) -> Spans:
    """Word by word, joined by "_"."""
    joined = cross(Jagged(left, None), Jagged(right, None)).elements
    assert isinstance(joined, Spans)
    return joined
