"""SoftmaxCrossEntropy: log loss over classes."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tzrec.losses.base import Loss
from tzrec.modules.candidates import ABSENT


class SoftmaxCrossEntropy(Loss):
    """`-sum_c y'_c log softmax(logits)_c`; with label smoothing s, `y'` is 1 - s on the label plus s / C everywhere.

    C is the number of classes of the row: those with the logit ABSENT have no share.
    """

    integer_label = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        probs = torch.softmax(logits, dim=1)  # (B, C)
        outputs = {"logits": logits, "probs": probs}
        if logits.shape[1] == 2:
            outputs["probs1"] = probs[:, 1]
        return outputs

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        losses = F.cross_entropy(logits, label, reduction="none")
        if self.label_smoothing == 0:
            return losses
        log_probs, is_present = torch.log_softmax(logits, dim=1), logits > ABSENT  # (B, C)
        uniform = -log_probs.where(is_present, 0.0).sum(1) / is_present.sum(1)
        return (1 - self.label_smoothing) * losses + self.label_smoothing * uniform
