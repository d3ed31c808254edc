"""RecallAtK: how often the right one is among the highest scores of its row."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class RecallAtK(MeanMetric):
    """Share of rows whose labelled column is among the `top_k` highest logits.

    Where several columns tie for the last places, a row counts by the chance that a random order of them has it.

    Args:
        num_class: classes of the task, or candidates of a row.
        top_k: how many of the highest logits count.
    """

    def __init__(self, num_class: int, top_k: int = 5) -> None:
        self.top_k = top_k
        super().__init__(num_class)

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        logits = predictions["logits"]  # (B, C)
        own = logits.gather(1, label.long()[:, None])  # (B, 1)
        above, equal = (logits > own).sum(1), (logits == own).sum(1)  # (B,), the row's own column among the equal
        return ((self.top_k - above) / equal).clamp(0, 1)
