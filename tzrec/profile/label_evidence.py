"""Evidence of labels about columns: the order of their numbers, and columns that tell a label by themselves.

A label is turned into yes-or-no questions: itself if it has two values, its most frequent classes, or thresholds of an
amount. The answer of a column to each of them is an area under the ROC curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, FloatArray, Int64Array
from tzrec.profile.row_sample import RowSample, codes_of, numbers_of

LEAK = 0.99
"""Area from which a column alone tells a label: no feature that exists beforehand is so good."""
_MIN_ROWS, _MIN_CLASS = 200, 20
_MAX_CLASSES, _NUM_QUESTIONS = 50, 3
_BINS = 64
_SHUFFLES = 8
_MIN_GAIN, _MIN_DEVIATIONS = 0.015, 4
_MOST_BY_CHANCE = 0.06
"""Area above 0.5 beyond which neighbors do say something, if only that few values have most of the rows."""
_MOST_OF_A_VALUE = 0.05
"""Share of the rows that one value counts as at most: of a few large ones an order would be chance."""
_MIN_SORTED_ROWS, _NUM_BLOCKS, _MOST_OF_VARIANCE = 1000, 40, 0.2
"""Blocks of rows that differ by more than this share of the variance of a label are sorted by it."""
_SIDE = 0.01
"""Share of the rows that neighbors on each side of a value have at least."""


@dataclass(frozen=True)
class Question:
    """A yes-or-no question about a label.

    Attributes:
        label: name of its column.
        rows: of the sample that have an answer, `(Q,)`.
        answers: `(Q,)`.
    """

    label: str
    rows: Int64Array
    answers: BoolArray


@dataclass(frozen=True)
class OrderEvidence:
    """Comparison of the values of a column of whole numbers.

    Attributes:
        rank: area of predictions that only know the labels of neighboring values.
        matters: true if it is clearly better than that of shuffled values.
        values_matter: true if the values themselves predict more than their neighbors do.
    """

    rank: float
    matters: bool
    values_matter: bool


@dataclass(frozen=True)
class Leak:
    """A column that tells a label by itself.

    Attributes:
        label: name of its column.
        area: of the question that it answers worst.
        is_by_missing: true if it is enough to know in which rows the column has no value.
    """

    label: str
    area: float
    is_by_missing: bool


class LabelEvidence:
    """Labels of a sample of rows, which columns are compared with.

    Args:
        sample: of the rows.
        labels: names of the label columns.
    """

    def __init__(self, sample: RowSample, labels: Sequence[str]) -> None:
        self._table = sample.table() if sample.num_kept else pa.table({})
        self._questions = {name: list(_questions(name, self._column(name))) for name in labels if self._has(name)}

    def order(self, name: str) -> OrderEvidence | None:
        """Compare the order of a column of numbers with the labels; None if the rows do not tell."""
        numbers = numbers_of(self._column(name)) if self._has(name) else None
        if numbers is None:
            return None
        items = [item for item in (_order(numbers, question) for question in self._all_questions()) if item is not None]
        if not items:
            return None
        telling = [item for item in items if item.matters]
        rank = max(item.rank for item in telling or items)
        return OrderEvidence(rank, bool(telling), any(item.values_matter for item in items))

    def leak(self, name: str) -> Leak | None:
        """Find the label that a column tells by itself; None if there is none."""
        if not self._has(name):
            return None
        column = self._column(name)
        codes, is_missing = _codes(column), np.asarray(column.is_null())
        for label, questions in self._questions.items():
            if codes is None or not questions:
                continue
            area = min(_area_of_codes(codes[item.rows], item.answers) for item in questions)
            if area >= LEAK:
                by_missing = min(_either_way(_area(is_missing[item.rows], item.answers)) for item in questions)
                return Leak(label, area, by_missing >= LEAK)
        return None

    def sorted_label(self) -> str:
        """Name of a label whose values lie together in the order of the rows; "" if there is none."""
        for question in self._all_questions():
            if _lie_together(question.answers):
                return question.label
        return ""

    def num_duplicates(self) -> int:
        """Number of rows of the sample that are equal to an earlier one."""
        flat = [
            name for name in self._table.column_names if not pa.types.is_nested(self._table.schema.field(name).type)
        ]
        if len(flat) < len(self._table.column_names) or not flat:
            return 0
        return self._table.num_rows - self._table.group_by(flat).aggregate([]).num_rows

    def _all_questions(self) -> Iterator[Question]:
        for questions in self._questions.values():
            yield from questions

    def _has(self, name: str) -> bool:
        return name in self._table.column_names

    def _column(self, name: str) -> pa.Array:
        column = self._table.column(name)
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _questions(name: str, column: pa.Array) -> Iterator[Question]:
    """Yield the questions about a label that both answers have enough rows for."""
    numbers = numbers_of(column)
    if numbers is None:
        return
    rows = np.flatnonzero(~np.isnan(numbers))
    values = numbers[rows]
    if len(rows) < _MIN_ROWS:
        return
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 2:
        asked = [values == distinct[1]]
    elif len(distinct) <= _MAX_CLASSES and bool((distinct == np.trunc(distinct)).all()):
        asked = [values == distinct[i] for i in np.argsort(-counts, kind="stable")[:_NUM_QUESTIONS]]
    else:
        asked = [values > edge for edge in np.unique(np.quantile(values, [0.25, 0.5, 0.75]))]
    for answers in asked:
        if _MIN_CLASS <= answers.sum() <= len(answers) - _MIN_CLASS:
            yield Question(name, rows, answers)


def _lie_together(answers: BoolArray) -> bool:
    """True if successive rows have the same answer far more often than by chance or by a drift over time."""
    if len(answers) < _MIN_SORTED_ROWS:
        return False
    means = np.array([block.mean() for block in np.array_split(answers, _NUM_BLOCKS)])
    return bool(means.var() > _MOST_OF_VARIANCE * answers.var())


def _codes(column: pa.Array) -> Int64Array | None:
    """Number of the value of each row, of numbers the bin of equal frequency, `(B,)`; missing ones have their own."""
    numbers = numbers_of(column)
    if numbers is None or np.isnan(numbers).mean() > 0.5 + 0.5 * (column.null_count / max(len(column), 1)):
        return codes_of(column)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return codes_of(column)
    distinct = np.unique(known)
    edges = distinct if len(distinct) <= _BINS else np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers))


def _area_of_codes(codes: Int64Array, answers: BoolArray) -> float:
    """Area of predictions by the share of yes among equal codes in the other half of the rows."""
    _, codes = np.unique(codes, return_inverse=True)
    half = np.arange(len(codes)) % 2
    areas = []
    for tested in (0, 1):
        known, asked = half != tested, half == tested
        num = np.bincount(codes[known], minlength=codes.max() + 1)
        yes = np.bincount(codes[known], answers[known], minlength=codes.max() + 1)
        share = (yes + answers.mean()) / (num + 1)
        areas.append(_area(share[codes[asked]], answers[asked]))
    return float(np.mean(areas))


def _order(numbers: FloatArray, question: Question) -> OrderEvidence | None:
    values, answers = numbers[question.rows], question.answers
    is_known = ~np.isnan(values)
    values, answers = values[is_known], answers[is_known]
    if not _MIN_CLASS <= answers.sum() <= len(answers) - _MIN_CLASS:
        return None
    distinct, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) < 3:
        return None
    shares = np.bincount(codes, answers, len(distinct)) / counts
    counts = np.minimum(counts, max(int(_MOST_OF_A_VALUE * len(values)), 1))
    yes = shares * counts
    rank = _area_of_neighbors(counts, yes)
    random = np.random.default_rng(len(distinct))
    orders = [random.permutation(len(distinct)) for _ in range(_SHUFFLES)]
    shuffled = [_area_of_neighbors(counts[order], yes[order]) for order in orders]
    gain, noise = rank - float(np.mean(shuffled)), float(np.std(shuffled))
    matters = gain > max(_MIN_GAIN, _MIN_DEVIATIONS * noise)
    if not matters and (gain > max(_MIN_GAIN, _MIN_DEVIATIONS / 2 * noise) or rank > 0.5 + _MOST_BY_CHANCE):
        return None  # neither is clear
    return OrderEvidence(rank, matters, _area_of_codes(codes, answers) > max(rank, 0.5) + 2 * _MIN_GAIN)


def _area_of_neighbors(counts: Int64Array, yes: FloatArray) -> float:
    """Area of predictions of each value by the share of yes among its neighbors, without its own rows.

    Args:
        counts: rows of each value in their order, `(V,)`.
        yes: rows of each value whose answer is yes, `(V,)`.
    """
    ends = np.cumsum(counts)
    starts, total_yes = ends - counts, np.concatenate([[0.0], np.cumsum(yes)])
    side = max(int(_SIDE * ends[-1]), 1)
    first = np.maximum(np.searchsorted(ends, starts - side, side="right"), 0)
    first = np.minimum(first, np.maximum(np.arange(len(counts)) - 1, 0))
    last = np.minimum(np.searchsorted(starts, ends + side, side="left"), len(counts))
    last = np.maximum(last, np.minimum(np.arange(len(counts)) + 2, len(counts)))
    total = np.concatenate([[0], ends])
    num = total[last] - total[first] - counts
    share = (total_yes[last] - total_yes[first] - yes) / np.maximum(num, 1)
    return _weighted_area(share, yes, counts - yes)


def _area(scores: FloatArray | BoolArray, answers: BoolArray) -> float:
    """Area under the ROC curve of scores `(B,)`; ties count a half."""
    _, codes, counts = np.unique(scores, return_inverse=True, return_counts=True)
    yes = np.bincount(codes, answers, len(counts))
    return _weighted_area(np.arange(len(counts)), yes, counts - yes)


def _weighted_area(scores: FloatArray, yes: FloatArray, no: FloatArray) -> float:
    """Area of scores `(V,)` with numbers of rows that answer yes and no."""
    _, codes = np.unique(scores, return_inverse=True)
    yes, no = np.bincount(codes, yes), np.bincount(codes, no)
    pairs = yes * (np.cumsum(no) - no / 2)
    return float(pairs.sum() / max(yes.sum() * no.sum(), 1))


def _either_way(area: float) -> float:
    return max(area, 1 - area)
