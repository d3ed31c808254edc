"""Sequences made of cells: how many steps each row has, and how they are written down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.sequences import SequenceSpec
from tzrec.data.synthetic.cells import BoolArray, Cells, Int64Array, lists

MOST_STEPS = 12
NO_STEPS = 0.05
"""Share of the rows that have no sequence."""


class StepCounts:
    """How many steps every row has.

    Columns of one group have equally many, and so have sequences outside of groups where they may be equally long, for
    they may be put together in one group of the model.
    """

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self._rows, self._rng = rows, rng
        self._counts: dict[tuple[str, int], Int64Array] = {}

    def of(self, steps: SequenceSpec) -> Int64Array:
        """Steps of each row `(B,)`, at most as many as the config keeps."""
        key = (steps.group, steps.limit)
        if key not in self._counts:
            most = min(steps.limit or MOST_STEPS, MOST_STEPS)
            some = self._rng.random(self._rows) >= NO_STEPS
            self._counts[key] = self._rng.integers(1, most + 1, self._rows) * some
        return self._counts[key]


def first_steps(steps: Int64Array) -> BoolArray:
    """Which of all steps are the first of their row `(steps.sum(),)`.

    A step without a value can be written as nothing at all, so a sequence of only that one would be no sequence.
    """
    first = np.zeros(steps.sum(), dtype=np.bool_)
    first[(steps.cumsum() - steps)[steps > 0]] = True
    return first


def as_lists(cells: Cells, steps: Int64Array) -> pa.Array:
    """`(B,)` lists of steps, or of lists where a step may have another number of values than one; null for none."""
    inner = cells.values if cells.counts is None else lists(cells.values, cells.counts)
    return pc.if_else(pa.array(steps > 0), lists(inner, steps), None)


def as_text(cells: Cells, steps: Int64Array, delimiter: str) -> pa.Array:
    """`(B,)` strings with the delimiter between two steps; null for no step."""
    each = pc.fill_null(cells.written().cast(pa.string()), "")
    return pc.if_else(pa.array(steps > 0), pc.binary_join(lists(each, steps), delimiter), None)


def alternating() -> Iterator[bool]:
    """Whether the next sequence is to be a list: every other one."""
    while True:
        yield True
        yield False
