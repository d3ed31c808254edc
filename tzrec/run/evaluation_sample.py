"""EvaluationSample: batches of the last evaluation that are kept for the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tzrec.data.batch import Batch


class EvaluationSample:
    """Batches of an evaluation at equal distances, as many on every rank.

    When there are more than fit, every other one is dropped and the distance doubles.

    Attributes:
        batches: of the last evaluation.

    Args:
        num_rows: rows to keep on this rank, at most, but one batch; 0 keeps none.
        batch_size: rows of a batch.
    """

    def __init__(self, num_rows: int, batch_size: int) -> None:
        self.batches: list[Batch] = []
        self._max_batches = max(num_rows // batch_size, 1) if num_rows else 0

    def collect(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of an evaluation unchanged, and keep some of them in place of those of the last one."""
        self.batches, distance = [], 1
        for number, batch in enumerate(batches):
            if self._max_batches and number % distance == 0:
                if len(self.batches) == self._max_batches:
                    self.batches = self.batches[::2]
                    distance *= 2
                if number % distance == 0:
                    self.batches.append(batch)
            yield batch
