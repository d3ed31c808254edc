"""L2Loss: squared error of one number."""

from __future__ import annotations

import torch

from tzrec.losses.base import Loss


class L2Loss(Loss):
    """`(y - label)^2`."""

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": logits.squeeze(1)}

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return (logits.squeeze(1) - label.to(logits.dtype)).square()
