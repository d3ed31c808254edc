"""LevelProposal: distribution over the nodes of a level of a tree, from which distinct negatives are drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tzrec.features.arrays import BoolArray, Int64Array

_NUM_TRIES = 5


class LevelProposal:
    """Nodes of a level with their weights; a node with the weight 0 is never drawn.

    Args:
        weights: of each node of the level, `(N,)`, at least one of them positive.
    """

    def __init__(self, weights: npt.NDArray[np.float64]) -> None:
        self._nodes = np.flatnonzero(weights > 0)  # (C,) candidates
        self._candidate = np.full(len(weights), -1, dtype=np.int64)
        self._candidate[self._nodes] = np.arange(len(self._nodes))
        self._weights = weights[self._nodes]
        self._ends = np.cumsum(self._weights)
        self._is_uniform = bool((self._weights == self._weights[0]).all())

    def draw(self, rng: np.random.Generator, positives: Int64Array, count: int) -> Int64Array:
        """Draw nodes for each row, by weight and without replacement, none of them the positive of the row.

        Of a level with at most twice as many nodes as are drawn, all are ranked; if the nodes do not suffice, they are
        repeated. On larger levels a repeated node or a positive is drawn anew up to 5 times; after that a repeated node
        stays, and a positive becomes the node after it.

        Args:
            rng: source of the draws.
            positives: node of each row that is not drawn, `(B,)`; -1 for none.
            count: S, number of nodes to draw.

        Returns:
            nodes `(B, S)`; with no node besides the positives `(B, 0)`.
        """
        excluded = np.where(positives >= 0, self._candidate[positives], -1)  # (B,)
        if len(self._nodes) == 1 and (excluded == 0).any():
            count = 0
        if len(self._nodes) <= 2 * count:
            return self._nodes[self._ranked(rng, excluded, count)]
        return self._nodes[self._tried(rng, excluded, count)]

    def _ranked(self, rng: np.random.Generator, excluded: Int64Array, count: int) -> Int64Array:
        """Rank all candidates by `-log(u) / weight` (Efraimidis and Spirakis, IPL 2006): draws without replacement."""
        rank = rng.exponential(size=(len(excluded), len(self._nodes))) / self._weights  # (B, C)
        has_positive = excluded >= 0
        rank[has_positive, excluded[has_positive]] = np.inf
        order = np.argsort(rank, axis=1, kind="stable")
        num_available = len(self._nodes) - has_positive.astype(np.int64)  # (B,)
        return np.take_along_axis(order, np.arange(count) % num_available[:, None], axis=1)

    def _tried(self, rng: np.random.Generator, excluded: Int64Array, count: int) -> Int64Array:
        drawn = self._random(rng, len(excluded) * count).reshape(len(excluded), count)
        for _ in range(_NUM_TRIES):
            is_wrong = _repeated(drawn) | (drawn == excluded[:, None])
            num_wrong = int(is_wrong.sum())
            if not num_wrong:
                break
            drawn[is_wrong] = self._random(rng, num_wrong)
        return np.where(drawn == excluded[:, None], (drawn + 1) % len(self._nodes), drawn)

    def _random(self, rng: np.random.Generator, count: int) -> Int64Array:
        if self._is_uniform:
            return rng.integers(len(self._nodes), size=count)
        drawn = np.searchsorted(self._ends, rng.random(count) * self._ends[-1], side="right")
        return np.minimum(drawn, len(self._nodes) - 1)


def _repeated(rows: Int64Array) -> BoolArray:
    """Mask of the numbers that an earlier column of their row has, `(B, S)`."""
    order = np.argsort(rows, axis=1, kind="stable")
    in_order = np.take_along_axis(rows, order, axis=1)
    is_repeated = np.zeros(rows.shape, dtype=np.bool_)
    np.put_along_axis(is_repeated, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    return is_repeated
