"""Areas under ROC curves, exact or over bins of scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tzrec.metrics.base import Metric, State


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
    """Every score of C curves, kept on the host: 5 bytes a row and curve."""

    def __init__(self, curves: int) -> None:
        self.scores = [torch.zeros(0, curves)]
        self.positive = [torch.zeros(0, curves, dtype=torch.bool)]

    def add(self, scores: torch.Tensor, positive: torch.Tensor) -> None:
        """Keep scores `(B, C)`, of which `positive` `(B, C)` says the class."""
        self.scores.append(scores.detach().cpu())
        self.positive.append(positive.cpu())

    def state(self) -> State:
        return {"scores": torch.cat(self.scores), "positive": torch.cat(self.positive)}

    def merge(self, states: Sequence[State]) -> None:
        self.scores = [state["scores"] for state in states]
        self.positive = [state["positive"] for state in states]

    def areas(self) -> torch.Tensor:
        """(C,)"""
        scores, positive = torch.cat(self.scores), torch.cat(self.positive)
        return torch.stack([_exact(*curve) for curve in zip(scores.unbind(1), positive.unbind(1), strict=True)])

    def positives(self) -> torch.Tensor:
        """Rows of each curve's class, `(C,)`."""
        return torch.cat(self.positive).sum(0, dtype=torch.float64)


def _exact(scores: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    if scores.isnan().any():
        return torch.tensor(torch.nan, dtype=torch.float64)
    distinct, group = torch.unique(scores, return_inverse=True)
    of_positive = torch.bincount(group[positive], minlength=len(distinct)).double()
    of_negative = torch.bincount(group[~positive], minlength=len(distinct)).double()
    return area(of_positive, of_negative)


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
