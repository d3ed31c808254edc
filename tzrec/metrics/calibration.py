"""Calibration: predicted over observed positives."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.sums import SumMetric


class Calibration(SumMetric):
    """`sum of predicted probabilities / number of positive rows`; 1.2 is 20 % too many.

    Labels above 0 are positive. nan without a positive row.

    Args:
        num_class: classes of the task, 1 or 2.
    """

    larger_is_better = None

    def __init__(self, num_class: int) -> None:
        super().__init__(num_class, 2)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        self.add(torch.stack([predictions[self.output_name].sum(dtype=torch.float64), (label > 0).sum()]))

    def compute(self) -> float:
        predicted, observed = self.sums.tolist()
        return predicted / observed if observed else float("nan")
