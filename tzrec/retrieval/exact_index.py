"""ExactIndex: all vectors compared in NumPy; the reference of the other indexes, which needs no further package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tzrec.errors import PackageError, first_line
from tzrec.retrieval.index import Neighbours, VectorIndex
from tzrec.retrieval.options import Metric
from tzrec.retrieval.vectors import Floats

_BLOCK_SCORES = 1 << 24
"""Scores that are computed at a time: 64 MB."""


class ExactIndex(VectorIndex):
    """Index that compares a query to all vectors; of equal scores, the one of the first row is first.

    Args:
        values: the vectors, `(N, D)`; not copied.
        metric: `IP` or `L2`.
    """

    def __init__(self, values: Floats, metric: Metric) -> None:
        self.num_items, self.dimension = values.shape
        self.metric, self._values = metric, values
        self._norms = np.einsum("nd,nd->n", values, values, dtype=np.float64) if metric == "L2" else None

    def search(self, queries: Floats, count: int) -> Neighbours:
        scores = np.zeros((len(queries), count), np.float32)
        rows = np.full((len(queries), count), -1, np.int64)
        step = max(1, _BLOCK_SCORES // self.num_items)
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            self._search(queries[block], scores[block], rows[block])
        return Neighbours(scores, rows)

    def _search(self, queries: Floats, scores: Floats, rows: np.ndarray) -> None:
        """Search a block of queries; `scores` and `rows` `(Q, K)` are written."""
        count = min(scores.shape[1], self.num_items)
        all_scores = queries @ self._values.T  # (Q, N)
        if self._norms is not None:
            norms = np.einsum("qd,qd->q", queries, queries, dtype=np.float64)
            all_scores = np.maximum(norms[:, None] + self._norms - 2.0 * all_scores, 0.0).astype(np.float32)
        losses = all_scores if self.metric == "L2" else -all_scores
        if count < self.num_items:  # all rows that are not worse than the last one to find, in order
            worst = np.partition(losses, count - 1, axis=1)[:, count - 1 : count]
            losses = np.where(losses <= worst, losses, np.inf)
        order = np.argsort(losses, axis=1, kind="stable")[:, :count]
        rows[:, :count] = order
        scores[:, :count] = np.take_along_axis(all_scores, order, axis=1)

    def write(self, path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, self._values, allow_pickle=False)

    @classmethod
    def open(cls, path: Path, metric: Metric) -> ExactIndex:
        """Map the vectors of a file.

        Raises:
            PackageError: it does not hold vectors.
        """
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (EOFError, OSError, ValueError) as error:
            raise PackageError(f"{path} cannot be read: {first_line(error)}; create it again: tzrec index") from error
        if values.ndim != 2 or values.dtype != np.float32:
            raise PackageError(f"{path} holds no float32 vectors; create it again: tzrec index")
        return cls(values, metric)
