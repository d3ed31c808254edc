"""RecallAtK: share of rows whose label is among the highest logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class RecallAtK(MeanMetric):
    """Share of rows whose label is a column among the `top_k` highest logits.

    If columns tie for the last ranks, a row counts by the probability that a random order of them includes the label.

    Args:
        num_class: classes of the task, or candidates of a row.
        top_k: number of highest logits.
    """

    def __init__(self, num_class: int, top_k: int = 5) -> None:
        self.top_k = top_k
        super().__init__(num_class)

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        logits = predictions["logits"]  # (B, C)
        own = logits.gather(1, label.long()[:, None])  # (B, 1)
        above, equal = (logits > own).sum(1), (logits == own).sum(1)  # (B,), the row's own column among the equal
        return ((self.top_k - above) / equal).clamp(0, 1)
