"""L2Loss: squared error of one number."""

from __future__ import annotations

import torch

from tzrec.losses.base import Loss


class L2Loss(Loss):
    """`((y - label) / standard_deviation)^2`, where `y = mean + standard_deviation logit` is predicted.

    With the mean and the standard deviation of the labels, prices in thousands and rates of a few per mille train with
    the same learning rate.

    Args:
        mean: of the labels.
        standard_deviation: of the labels.
    """

    def __init__(self, mean: float = 0.0, standard_deviation: float = 1.0) -> None:
        self.mean, self.standard_deviation = mean, standard_deviation

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.mean + self.standard_deviation * logits.squeeze(1)}

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return (logits.squeeze(1) - self.scaled(label, logits.dtype)).square()

    def scaled(self, label: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Scale labels `(B,)` as the logits are."""
        return ((label - self.mean) / self.standard_deviation).to(dtype)
