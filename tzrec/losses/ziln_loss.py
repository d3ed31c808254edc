"""ZILNLoss: loss of values that are mostly 0 and otherwise have a long tail, such as the spending of customers."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tzrec.losses.base import Loss

_LEAST_SIGMA = 1e-4


class ZILNLoss(Loss):
    """Negative log likelihood of a zero-inflated lognormal value x on three logits `a, mu, s`.

    With `p = sigmoid(a)` and `sigma = max(softplus(s), 1e-4)`: `-log(1 - p)` where `x = 0`, and
    `-log p + log(x sigma sqrt(2 pi)) + (log x - mu)^2 / (2 sigma^2)` where `x > 0`. It predicts the mean
    `y = p exp(mu + sigma^2 / 2)`. Wang, Liu, Miao, "A Deep Probabilistic Model for Customer Lifetime Value Prediction",
    arXiv 1912.07753, 2019.
    """

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        a, mu, sigma = _parameters(logits)
        return {"logits": logits, "y": torch.sigmoid(a) * torch.exp(mu + sigma.square() / 2)}

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        a, mu, sigma = _parameters(logits)  # (B,) each
        is_positive = label > 0
        class_loss = F.binary_cross_entropy_with_logits(a, is_positive.to(a.dtype), reduction="none")
        log_value = torch.log(torch.where(is_positive, label, torch.ones_like(label)).to(a.dtype))
        density = log_value + torch.log(sigma) + math.log(2 * math.pi) / 2 + ((log_value - mu) / sigma).square() / 2
        return class_loss + torch.where(is_positive, density, torch.zeros_like(density))


def _parameters(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute a, mu and sigma, `(B,)` each."""
    a, mu, s = logits.unbind(1)
    return a, mu, F.softplus(s).clamp(min=_LEAST_SIGMA)
