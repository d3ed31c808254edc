"""Areas under ROC curves, exact or over bins of scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tzrec.metrics.base import Metric, State

_WAITING = 1 << 18
"""Rows that are gathered before they are counted: sorting few at a time would cost more than it saves."""


def area(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """The share of (positive, negative) pairs in which the positive scores higher; a tie counts a half.

    Args:
        positive: float64 `(..., G)`, positives in each of G groups of equal score, by rising score.
        negative: the same of negatives.

    Returns:
        `(...)`; nan where one of the two is missing.
    """
    below = negative.cumsum(-1) - negative
    pairs = (positive * (below + negative / 2)).sum(-1)
    return pairs / (positive.sum(-1) * negative.sum(-1))


class Binned:
    """Histograms of scores in [0, 1] for C curves.

    The area equals the trapezoids over the points (FPR, TPR) at `thresholds` cuts `score >= linspace(0, 1, thresholds)`
    and (0, 0): scores between two cuts are ties.
    """

    def __init__(self, curves: int, thresholds: int) -> None:
        self.edges = torch.linspace(0, 1, thresholds)
        self.counts = torch.zeros(curves, 2, thresholds, dtype=torch.float64)

    def add(self, scores: torch.Tensor, positive: torch.Tensor) -> None:
        """Count scores `(B, C)`, of which `positive` `(B, C)` says the class."""
        bins = torch.bucketize(scores.contiguous(), self.edges.to(scores), right=True) - 1  # (B, C)
        curves, _, width = self.counts.shape
        rows = torch.arange(curves, device=scores.device) * 2 + positive.long()  # (B, C)
        counts = torch.bincount((rows * width + bins).flatten(), minlength=self.counts.numel())
        # A NaN score would fall into the last bin; this makes the area NaN instead.
        poison = scores.sum(0, dtype=torch.float64) * 0.0
        self.counts = self.counts.to(scores.device) + counts.view(curves, 2, width) + poison[:, None, None]

    def state(self) -> State:
        return {"counts": self.counts}

    def merge(self, states: Sequence[State]) -> None:
        self.counts = torch.stack([state["counts"] for state in states]).sum(0)

    def areas(self) -> torch.Tensor:
        """(C,)"""
        return area(self.counts[:, 1], self.counts[:, 0])

    def positives(self) -> torch.Tensor:
        """Rows of each curve's class, `(C,)`."""
        return self.counts[:, 1].sum(-1)


class Exact:
    """Positive and negative rows of each distinct score of C curves, kept on the host.

    Memory grows with the number of distinct scores and not with rows: 12 bytes each in float32, and up to as many rows
    again that have not been counted yet.
    """

    def __init__(self, curves: int) -> None:
        self.counts = [_Counts() for _ in range(curves)]

    def add(self, scores: torch.Tensor, positive: torch.Tensor) -> None:
        """Count scores `(B, C)`, of which `positive` `(B, C)` says the class."""
        columns = zip(self.counts, scores.detach().cpu().unbind(1), positive.cpu().unbind(1), strict=True)
        for counts, score, label in columns:
            counts.add(score, torch.stack([~label, label], dim=1).int())

    def state(self) -> State:
        return {f"{part}{curve}": each for curve, counts in enumerate(self.counts) for part, each in counts.parts()}

    def merge(self, states: Sequence[State]) -> None:
        self.counts = [_Counts() for _ in self.counts]
        for curve, counts in enumerate(self.counts):
            for state in states:
                counts.add(state[f"scores{curve}"], state[f"rows{curve}"])

    def areas(self) -> torch.Tensor:
        """(C,)"""
        return torch.stack([counts.area() for counts in self.counts])

    def positives(self) -> torch.Tensor:
        """Rows of each curve's class, `(C,)`."""
        return torch.stack([counts.settled().rows[:, 1].sum(dtype=torch.float64) for counts in self.counts])


class _Counts:
    """Rows by score.

    Attributes:
        scores: distinct and rising once settled, `(D,)`.
        rows: negative and positive rows of each, `(D, 2)`.
    """

    def __init__(self) -> None:
        self.scores = torch.zeros(0)
        self.rows = torch.zeros(0, 2, dtype=torch.int32)
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._more = 0

    def add(self, scores: torch.Tensor, rows: torch.Tensor) -> None:
        """Count scores `(N,)`, each for negative and positive rows `(N, 2)`; they are sorted in a while."""
        self._waiting.append((scores, rows))
        self._more += len(scores)
        if self._more > max(len(self.scores), _WAITING):
            self.settled()

    def settled(self) -> _Counts:
        """Itself, with what waits counted."""
        if self._waiting:
            scores = torch.cat([self.scores, *(each for each, _ in self._waiting)])
            rows = torch.cat([self.rows, *(each for _, each in self._waiting)])
            # NaN equals nothing, not even itself; one is as bad as many
            kept = ~scores.isnan() | (scores.isnan().cumsum(0) == 1)
            self.scores, place = torch.unique(scores[kept], return_inverse=True)
            self.rows = torch.zeros(len(self.scores), 2, dtype=torch.int32).index_add_(0, place, rows[kept])
            self._waiting, self._more = [], 0
        return self

    def parts(self) -> list[tuple[str, torch.Tensor]]:
        """What it consists of, by name."""
        self.settled()
        return [("scores", self.scores), ("rows", self.rows)]

    def area(self) -> torch.Tensor:
        """0-dimensional."""
        self.settled()
        if self.scores.isnan().any():
            return torch.tensor(torch.nan, dtype=torch.float64)
        return area(self.rows[:, 1].double(), self.rows[:, 0].double())


class RocMetric(Metric):
    """A metric made of the areas of `curves` curves.

    Args:
        curves: number of curves.
        thresholds: cuts of the binned areas; 0 for exact ones.
    """

    def __init__(self, curves: int, thresholds: int) -> None:
        self._shape = curves, thresholds
        self.reset()

    def reset(self) -> None:
        curves, thresholds = self._shape
        self.roc = Binned(curves, thresholds) if thresholds else Exact(curves)

    def state(self) -> State:
        return self.roc.state()

    def merge(self, states: Sequence[State]) -> None:
        self.roc.merge(states)
