"""Areas under ROC curves, exact or over bins of scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tzrec.metrics.base import Metric, State

_BUFFER_ROWS = 1 << 18
"""Rows that are buffered before they are sorted and counted; sorting fewer at a time is slower."""


def area(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Compute the share of (positive, negative) pairs in which the positive scores higher; a tie counts a half.

    Args:
        positive: float64 `(..., G)`, positives in each of G groups of equal score, by rising score.
        negative: the same of negatives.

    Returns:
        Areas `(...)`; nan without positives or without negatives.
    """
    below = negative.cumsum(-1) - negative
    pairs = (positive * (below + negative / 2)).sum(-1)
    return pairs / (positive.sum(-1) * negative.sum(-1))


class BinnedRoc:
    """Histograms of scores in [0, 1] for C curves.

    The area equals the trapezoids over the points (FPR, TPR) at `thresholds` cuts `score >= linspace(0, 1, thresholds)`
    and (0, 0): scores between two cuts are ties.
    """

    def __init__(self, curves: int, thresholds: int) -> None:
        self.edges = torch.linspace(0, 1, thresholds)
        self.counts = torch.zeros(curves, 2, thresholds, dtype=torch.float64)

    def add(self, scores: torch.Tensor, positive: torch.Tensor) -> None:
        """Add scores `(B, C)`; `positive` `(B, C)` is True for rows of the class of a curve."""
        bins = torch.bucketize(scores.contiguous(), self.edges.to(scores), right=True) - 1  # (B, C)
        curves, _, width = self.counts.shape
        rows = torch.arange(curves, device=scores.device) * 2 + positive.long()  # (B, C)
        counts = torch.bincount((rows * width + bins).flatten(), minlength=self.counts.numel())
        # Without this a NaN score would be counted in the last bin; with it the area is NaN.
        nan_or_zero = scores.sum(0, dtype=torch.float64) * 0.0
        self.counts = self.counts.to(scores.device) + counts.view(curves, 2, width) + nan_or_zero[:, None, None]

    def state(self) -> State:
        return {"counts": self.counts}

    def merge(self, states: Sequence[State]) -> None:
        self.counts = torch.stack([state["counts"] for state in states]).sum(0)

    def areas(self) -> torch.Tensor:
        """Area of each curve, `(C,)`."""
        return area(self.counts[:, 1], self.counts[:, 0])

    def positives(self) -> torch.Tensor:
        """Number of positive rows of each curve, `(C,)`."""
        return self.counts[:, 1].sum(-1)

    def fullest_bin(self) -> tuple[int, int]:
        """Number of scores in the bin that has most of its curve's, and number of scores of that curve."""
        by_bin = self.counts.sum(1)  # (C, thresholds)
        curve = int(by_bin.max(1).values.argmax())
        return int(by_bin[curve].max()), int(by_bin[curve].sum())


class ExactRoc:
    """Positive and negative rows of each distinct score of C curves, kept on the host.

    Memory grows with the number of distinct scores, not of rows: 12 bytes each in float32, and up to as many buffered
    rows.
    """

    def __init__(self, curves: int) -> None:
        self.counts = [_CountsByScore() for _ in range(curves)]

    def add(self, scores: torch.Tensor, positive: torch.Tensor) -> None:
        """Add scores `(B, C)`; `positive` `(B, C)` is True for rows of the class of a curve."""
        columns = zip(self.counts, scores.detach().cpu().unbind(1), positive.cpu().unbind(1), strict=True)
        for counts, score, label in columns:
            counts.add(score, torch.stack([~label, label], dim=1).int())

    def state(self) -> State:
        return {f"{part}{curve}": tensor for curve, counts in enumerate(self.counts) for part, tensor in counts.parts()}

    def merge(self, states: Sequence[State]) -> None:
        self.counts = [_CountsByScore() for _ in self.counts]
        for curve, counts in enumerate(self.counts):
            for state in states:
                counts.add(state[f"scores{curve}"], state[f"rows{curve}"])

    def areas(self) -> torch.Tensor:
        """Area of each curve, `(C,)`."""
        return torch.stack([counts.area() for counts in self.counts])

    def positives(self) -> torch.Tensor:
        """Number of positive rows of each curve, `(C,)`."""
        return torch.stack([counts.flush().rows[:, 1].sum(dtype=torch.float64) for counts in self.counts])


class _CountsByScore:
    """Rows by score.

    Attributes:
        scores: distinct and increasing after `flush`, `(D,)`.
        rows: number of negative and positive rows of each, `(D, 2)`.
    """

    def __init__(self) -> None:
        self.scores = torch.zeros(0)
        self.rows = torch.zeros(0, 2, dtype=torch.int32)
        self._buffer: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._num_buffered = 0

    def add(self, scores: torch.Tensor, rows: torch.Tensor) -> None:
        """Buffer scores `(N,)` with their numbers of negative and positive rows `(N, 2)`."""
        self._buffer.append((scores, rows))
        self._num_buffered += len(scores)
        if self._num_buffered > max(len(self.scores), _BUFFER_ROWS):
            self.flush()

    def flush(self) -> _CountsByScore:
        """Count the buffered rows and return self."""
        if self._buffer:
            scores = torch.cat([self.scores, *(scores for scores, _ in self._buffer)])
            rows = torch.cat([self.rows, *(rows for _, rows in self._buffer)])
            # NaN does not equal itself: keep only one
            is_kept = ~scores.isnan() | (scores.isnan().cumsum(0) == 1)
            self.scores, place = torch.unique(scores[is_kept], return_inverse=True)
            self.rows = torch.zeros(len(self.scores), 2, dtype=torch.int32).index_add_(0, place, rows[is_kept])
            self._buffer, self._num_buffered = [], 0
        return self

    def parts(self) -> list[tuple[str, torch.Tensor]]:
        """State by name."""
        self.flush()
        return [("scores", self.scores), ("rows", self.rows)]

    def area(self) -> torch.Tensor:
        """Area under the curve, 0-dimensional."""
        self.flush()
        if self.scores.isnan().any():
            return torch.tensor(torch.nan, dtype=torch.float64)
        return area(self.rows[:, 1].double(), self.rows[:, 0].double())


class RocMetric(Metric):
    """A metric that is computed from areas under ROC curves.

    Args:
        curves: number of curves.
        thresholds: number of cuts of the binned areas; 0 for exact ones.
    """

    def __init__(self, curves: int, thresholds: int) -> None:
        self._shape = curves, thresholds
        self.reset()

    def reset(self) -> None:
        curves, thresholds = self._shape
        self.roc = BinnedRoc(curves, thresholds) if thresholds else ExactRoc(curves)

    def remark(self) -> str:
        """Describe that most scores are ties, because they fall into one bin."""
        if isinstance(self.roc, ExactRoc) or self.roc.counts.isnan().any():
            return ""
        fullest, num_scores = self.roc.fullest_bin()
        if fullest <= num_scores / 2:
            return ""
        return (
            f"{fullest:,} of {num_scores:,} scores fall into one of {self._shape[1]:,} bins and count as ties; "
            "thresholds: 0 computes the exact area"
        )

    def state(self) -> State:
        return self.roc.state()

    def merge(self, states: Sequence[State]) -> None:
        self.roc.merge(states)
