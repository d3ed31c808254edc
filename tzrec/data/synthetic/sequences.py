"""Synthetic sequences: lengths, and formatting of cells as lists or text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.sequences import SequenceSpec
from tzrec.data.synthetic.cells import BoolArray, Cells, Int64Array, lists

MAX_LENGTH = 12
EMPTY_SHARE = 0.05
"""Share of rows with an empty sequence."""


class SequenceLengths:
    """Sequence lengths of every row.

    Columns of one sequence group have the same lengths. So do sequences outside of groups with the same maximum
    length, since a feature group of the model may combine them.
    """

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self._rows, self._rng = rows, rng
        self._lengths: dict[tuple[str, int], Int64Array] = {}

    def of(self, spec: SequenceSpec) -> Int64Array:
        """Lengths of each row `(B,)`, at most the limit of the config."""
        key = (spec.group, spec.limit)
        if key not in self._lengths:
            limit = min(spec.limit or MAX_LENGTH, MAX_LENGTH)
            has_elements = self._rng.random(self._rows) >= EMPTY_SHARE
            self._lengths[key] = self._rng.integers(1, limit + 1, self._rows) * has_elements
        return self._lengths[key]


def first_elements(lengths: Int64Array) -> BoolArray:
    """Mask of the elements that are the first of their row `(lengths.sum(),)`.

    A sequence whose only element is empty is written as an empty text, like no sequence.
    """
    is_first = np.zeros(lengths.sum(), dtype=np.bool_)
    is_first[(lengths.cumsum() - lengths)[lengths > 0]] = True
    return is_first


def as_lists(cells: Cells, lengths: Int64Array) -> pa.Array:
    """`(B,)` lists of values, or of lists if an element can have several; null for an empty sequence."""
    inner = cells.values if cells.counts is None else lists(cells.values, cells.counts)
    return pc.if_else(pa.array(lengths > 0), lists(inner, lengths), None)


def as_text(cells: Cells, lengths: Int64Array, delimiter: str) -> pa.Array:
    """`(B,)` strings with the delimiter between two elements; null for an empty sequence."""
    elements = pc.fill_null(cells.to_arrow().cast(pa.string()), "")
    return pc.if_else(pa.array(lengths > 0), pc.binary_join(lists(elements, lengths), delimiter), None)


def alternating() -> Iterator[bool]:
    """Yield True and False in turn: every other sequence is a list."""
    while True:
        yield True
        yield False
