"""BinaryFocalLoss: log loss of one logit that gives less weight to rows that are predicted well."""

from __future__ import annotations

import torch

from tzrec.losses.binary_cross_entropy import BinaryCrossEntropy


class BinaryFocalLoss(BinaryCrossEntropy):
    """`w BCE(p, y)`, `w = alpha y (1 - p)^gamma + (1 - alpha) (1 - y) p^gamma`, `p = sigmoid(logit)`.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5, except that `w` has no gradient: it is
    a weight of rows and not a term to minimize. With gamma 0 and alpha 0.5 it is half the log loss.

    Args:
        gamma: exponent that reduces the weight of rows that are predicted well.
        alpha: weight of positive rows; that of negative ones is 1 - alpha.
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.5) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        target = label.to(logits.dtype)
        p = torch.sigmoid(logits.detach().squeeze(1))  # (B,)
        positive, negative = (1 - p) ** self.gamma, p**self.gamma
        weight = self.alpha * target * positive + (1 - self.alpha) * (1 - target) * negative  # (B,)
        return weight * super().row_losses(logits, label)
