"""Precision: how many of the rows said to be positive are."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.sums import SumMetric


class Precision(SumMetric):
    """Share of positive rows, label above 0, among those with a probability above a threshold; nan if there are none.

    Args:
        num_class: classes of the task, 1 or 2.
        threshold: above it a row is said to be positive.
    """

    def __init__(self, num_class: int, threshold: float = 0.5) -> None:
        self.threshold = threshold
        super().__init__(num_class, 2)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        said = predictions[self.reads] > self.threshold
        self.add(torch.stack([(said & (label > 0)).sum(), said.sum()]))

    def compute(self) -> float:
        return (self.sums[0] / self.sums[1]).item()
