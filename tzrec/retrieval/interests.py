"""Several vectors of a user, the interests of MIND: their neighbours as one list."""

from __future__ import annotations

import numpy as np

from tzrec.retrieval.index import Neighbours, VectorIndex
from tzrec.retrieval.options import Metric
from tzrec.retrieval.vectors import Floats


def search_interests(index: VectorIndex, interests: Floats, count: int) -> Neighbours:
    """Find the neighbours of each interest; a zero vector is no interest, and finds nothing.

    Args:
        index: of the items.
        interests: `(B, I, D)`.
        count: K, of each interest.

    Returns:
        `(B * I, K)`.
    """
    queries = interests.reshape(-1, interests.shape[-1])
    is_interest = queries.any(axis=1)
    result = Neighbours(
        np.zeros((len(queries), count), np.float32),
        np.full((len(queries), count), -1, np.int64),
    )
    result.scores[is_interest], result.rows[is_interest] = index.search(queries[is_interest], count)
    return result


def merge_interests(neighbours: Neighbours, num_interests: int, metric: Metric) -> Neighbours:
    """Merge the neighbours of the interests of each user: each item once, with its best score.

    Args:
        neighbours: of all interests, `(B * I, K)`.
        num_interests: I.
        metric: tells which score is better.

    Returns:
        the best K items of each user, `(B, K)`; of equal scores, the item of the first interest is first.
    """
    count = neighbours.rows.shape[1]
    rows = neighbours.rows.reshape(-1, num_interests * count)
    scores = neighbours.scores.reshape(rows.shape)
    losses = np.where(rows < 0, np.inf, scores if metric == "L2" else -scores)
    rows, scores = _take(rows, scores, np.argsort(losses, axis=1, kind="stable"))
    is_kept = (rows >= 0) & ~_repeats(rows)
    rows, scores = _take(
        np.where(is_kept, rows, -1), np.where(is_kept, scores, 0), np.argsort(~is_kept, axis=1, kind="stable")
    )
    return Neighbours(scores[:, :count], rows[:, :count])


def _take(rows: np.ndarray, scores: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _repeats(rows: np.ndarray) -> np.ndarray:
    """True where the same number stands further left in its row of a matrix."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    repeats = np.zeros(rows.shape, bool)
    np.put_along_axis(repeats, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeats
