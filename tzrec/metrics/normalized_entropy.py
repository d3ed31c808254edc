"""NormalizedEntropy: log loss relative to that of predicting the mean label."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.logloss import binary_log_loss
from tzrec.metrics.sums import SumMetric


class NormalizedEntropy(SumMetric):
    """`mean log loss / -(b log b + (1 - b) log(1 - b))` with the share of positives b (He et al., ADKDD 2014).

    Labels above 0 are positive. nan without any row.

    Args:
        num_class: classes of the task, 1 or 2.
        eta: least distance of b from 0 and 1.
    """

    larger_is_better = False

    def __init__(self, num_class: int, eta: float = 1e-12) -> None:
        self.eta = eta
        super().__init__(num_class, 3)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        positive = label > 0
        losses = binary_log_loss(predictions[self.output_name], positive)
        self.add(torch.stack([losses.sum(), positive.sum(), torch.ones_like(losses).sum()]))

    def compute(self) -> float:
        loss, positives, rows = self.sums
        base = (positives / rows).clamp(self.eta, 1 - self.eta)
        entropy = -(base * base.log() + (1 - base) * torch.log1p(-base))
        return (loss / rows / entropy).item()
