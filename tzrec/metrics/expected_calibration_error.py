"""ExpectedCalibrationError: distance of predicted probabilities from observed frequencies, bin by bin."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.sums import SumMetric


class ExpectedCalibrationError(SumMetric):
    """`sum_b n_b / n |mean label of b - mean probability of b|` over bins `((b - 1) / B, b / B]` of the probability.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, of the probability of a
    positive label: one above 0. A probability of 0 belongs to the first bin. nan without any row.

    Args:
        num_class: classes of the task, 1 or 2.
        num_bins: number of bins B.
    """

    larger_is_better = False

    def __init__(self, num_class: int, num_bins: int = 15) -> None:
        self.edges = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64)[1:]
        super().__init__(num_class, 3, num_bins)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        probs = predictions[self.output_name].double()
        bins = torch.bucketize(probs, self.edges.to(probs.device)).clamp(max=len(self.edges) - 1)  # (B,)
        values = torch.stack([torch.ones_like(probs), probs, (label > 0).double()])  # (3, B)
        self.add(torch.zeros_like(self.sums, device=probs.device).index_add(1, bins, values))

    def compute(self) -> float:
        rows, probs, positives = self.sums
        return ((probs - positives).abs().sum() / rows.sum()).item()
