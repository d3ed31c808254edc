"""LabelStats: statistics of a label column, in which everything but a finite number is a missing label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tzrec.config.label_texts import label_values_setting
from tzrec.errors import DataError
from tzrec.features.jagged import Elements
from tzrec.features.text.spans import Spans
from tzrec.profile.column_stats import ColumnStats

RARE = 0.02
"""Share of positive rows below which the scores of a good model are in the first few of the 200 bins of an auc."""

_MAX_NUMBERS = 3


class LabelStats(ColumnStats):
    """Statistics of a label column.

    Attributes:
        first_word: the first text that is not a number; None if there is none.
        num_words: number of such texts.
        some_numbers: distinct numbers, at most three.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.first_word: str | None = None
        self.num_words = 0
        self.some_numbers: set[float] = set()

    def merge(self, other: ColumnStats) -> None:
        super().merge(other)
        assert isinstance(other, LabelStats)
        self.first_word = self.first_word if self.first_word is not None else other.first_word
        self.num_words += other.num_words
        self._add_numbers(other.some_numbers)

    @property
    def is_binary(self) -> bool:
        """True if the numbers are 0 and 1."""
        return self.some_numbers == {0.0, 1.0}

    def _measure(self, elements: Elements) -> None:
        if isinstance(elements, Spans):
            numbers, is_number = elements.parse_floats()
            words = np.flatnonzero(~is_number)
            if len(words) and self.first_word is None:
                self.first_word = str(elements.to_arrow()[int(words[0])].as_py())
            self.num_words += len(words)
        else:
            numbers = elements.astype(np.float64, copy=False)
            is_number = np.isfinite(numbers)
        numbers = numbers[is_number]
        num_missing = len(is_number) - len(numbers)
        self.values -= num_missing
        self.missing += num_missing
        self.numbers += len(numbers)
        if len(numbers):
            self.is_whole = self.is_whole and bool((numbers == np.trunc(numbers)).all())
            self._add_numbers(set(np.unique(numbers)[:_MAX_NUMBERS].tolist()))
            self.moments.add(numbers)
            self._quantiles.add(numbers)

    def _add_numbers(self, numbers: set[float]) -> None:
        self.some_numbers = set(sorted(self.some_numbers | numbers)[:_MAX_NUMBERS])


def ensure_numbers(labels: Sequence[LabelStats]) -> None:
    """Check that labels are numbers, one in each row.

    Raises:
        DataError: a label is text, or a list of numbers.
    """
    for label in labels:
        if label.widths[1] > 1:
            raise DataError(
                f'label column "{label.name}" holds lists of {label.widths[1]} numbers; a label is one number. '
                "Write each of them into a column of its own"
            )
        if label.num_words > label.numbers:
            raise DataError(
                f'label column "{label.name}" is {label.kind}; a label must be a number, and the first value '
                f'that is none is "{label.first_word}"; list its values in data_config.label_values'
            )


def label_notes(labels: Sequence[LabelStats]) -> Iterator[str]:
    """Yield what a user should know about labels: missing ones, classes that are not 0 and 1, rare positives."""
    for label in labels:
        if label.missing:
            first = f'; the first value that is no number is "{label.first_word}"' if label.num_words else ""
            yield f'{label.missing:,} rows have no label "{label.name}" and are left out{first}'
        numbers = sorted(label.some_numbers)
        if len(numbers) == 2 and label.is_whole and not label.is_binary:
            yield (
                f'label "{label.name}" has only the values {numbers[0]:g} and {numbers[1]:g}, which look like two '
                "classes; to predict a probability write 0 and 1 in their place, or list them: "
                f"{label_values_setting(label.name, [f'{number:g}' for number in numbers])}"
            )
        if label.is_binary and label.moments.mean < RARE:
            yield (
                f'label "{label.name}" is 1 in {100 * label.moments.mean:.2g} % of the rows, so its auc is exact '
                "(thresholds: 0): binned scores would mostly be ties"
            )
