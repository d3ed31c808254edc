"""Recall: share of positive rows that are predicted positive."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.sums import SumMetric


class Recall(SumMetric):
    """Share of rows with a probability above a threshold among the positive ones, label above 0; nan if there are none.

    Args:
        num_class: classes of the task, 1 or 2.
        threshold: probability above which a row is predicted positive.
    """

    def __init__(self, num_class: int, threshold: float = 0.5) -> None:
        self.threshold = threshold
        super().__init__(num_class, 2)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        positive = label > 0
        self.add(torch.stack([((predictions[self.output_name] > self.threshold) & positive).sum(), positive.sum()]))

    def compute(self) -> float:
        return (self.sums[0] / self.sums[1]).item()
