"""BinaryCrossEntropy: log loss of one logit."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tzrec.losses.base import Loss


class BinaryCrossEntropy(Loss):
    """`-y' log p - (1 - y') log(1 - p)`, `p = sigmoid(logit)`, `y' = y (1 - s) + s / 2` with label smoothing s."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        logit = logits.squeeze(1)  # (B,)
        return {"logits": logit, "probs": torch.sigmoid(logit)}

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        target = label.to(logits.dtype)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), target, reduction="none")
