"""EvaluationSample: batches of the last evaluation that are kept for the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tzrec.data.batch import Batch
from tzrec.distributed import group


class EvaluationSample:
    """Batches of an evaluation at equal distances; those without evaluated rows do not count.

    When their rows are more than fit, every other batch is dropped and the distance doubles.

    Args:
        num_rows: rows to keep over all ranks, at most, but one batch of each; 0 keeps none.
    """

    def __init__(self, num_rows: int) -> None:
        self._max_rows = num_rows
        self._kept: list[Batch] = []
        self._first: Batch | None = None
        self._num_rows, self._distance = 0, 1

    def collect(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of an evaluation unchanged, and keep some of them in place of those of the last one."""
        self._kept, self._first, number = [], None, 0
        self._num_rows, self._distance = 0, 1
        for batch in batches:
            if self._first is None:
                self._first = batch
            if batch.rows and self._max_rows:
                if number % self._distance == 0:
                    self._kept.append(batch)
                    self._num_rows += batch.rows
                    self._thin_out()
                number += 1
            yield batch

    def _thin_out(self) -> None:
        """Drop every other batch until the rows fit; any rank may turn out to have all rows."""
        while self._num_rows > self._max_rows and len(self._kept) > 1:
            self._kept, self._distance = self._kept[::2], self._distance * 2
            self._num_rows = _num_rows(self._kept)

    def batches(self) -> list[Batch]:
        """Return the sample of the last evaluation, as many batches on every rank: the last ones may have no rows.

        The batches of all ranks are at one distance, so that each evaluated row is as likely in the sample as any
        other. All ranks call this together.
        """
        if self._first is None or not self._max_rows:
            return []
        kept = self._kept[:: max(group.gather(self._distance)) // self._distance]
        while True:
            sizes = group.gather((_num_rows(kept), len(kept)))
            longest = max(length for _, length in sizes)
            if sum(rows for rows, _ in sizes) <= self._max_rows or longest <= 1:
                return kept + [replace(self._first, rows=0)] * (longest - len(kept))
            kept = kept[::2]


def _num_rows(batches: Sequence[Batch]) -> int:
    return sum(batch.rows for batch in batches)
