"""HuberLoss: squared for small errors, absolute for large ones."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tzrec.losses.l2_loss import L2Loss


class HuberLoss(L2Loss):
    """With `d = (y - label) / standard_deviation`: `d^2 / 2` where `|d| <= delta`, else `delta (|d| - delta / 2)`.

    Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 1964.

    Args:
        delta: largest error that is squared, in standard deviations.
        mean: of the labels.
        standard_deviation: of the labels.
    """

    def __init__(self, delta: float = 1.0, mean: float = 0.0, standard_deviation: float = 1.0) -> None:
        super().__init__(mean, standard_deviation)
        self.delta = delta

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return F.huber_loss(logits.squeeze(1), self.scaled(label, logits.dtype), reduction="none", delta=self.delta)
