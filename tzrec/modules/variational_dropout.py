"""VariationalDropout: learns for each feature how likely it is to be dropped."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TEMPERATURE = 0.1
"""Of the relaxed draws: nearly 0 or 1, and yet with a gradient."""


class VariationalDropout(nn.Module):
    """Drops whole features with learned probabilities `p_f = sigmoid(theta_f)`; what may be dropped matters little.

    In training feature f of a row is multiplied by `1 - z`, `z = sigmoid((logit(p_f) + logit(u)) / 0.1)` with u uniform
    in (0, 1), a draw for each row and feature; in evaluation by `1 - p_f`. A penalty of `lambda / B * sum_f (1 - p_f)`
    rewards dropping. All features begin with `p_f = 1/2`.

    Ma et al., Towards a Better Tradeoff between Effectiveness and Efficiency in Pre-Ranking: A Learnable Feature
    Selection based Approach, SIGIR 2021, with one price for all features instead of one by their cost; the relaxed
    draw is that of Gal et al., Concrete Dropout, NIPS 2017.

    Args:
        widths: columns of each feature.
        regularization_lambda: weight of the penalty.
    """

    owners: Tensor

    def __init__(self, widths: Sequence[int], regularization_lambda: float = 0.01) -> None:
        super().__init__()
        self.regularization_lambda = regularization_lambda
        self.logits = nn.Parameter(torch.zeros(len(widths)))  # theta, (F,)
        columns = torch.tensor([feature for feature, width in enumerate(widths) for _ in range(width)])
        self.register_buffer("owners", columns)  # the feature of each column, (sum of widths,)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale features side by side, `(B, sum of widths)`; and the penalty, 0-dimensional."""
        kept = 1 - torch.sigmoid(self.logits)  # (F,)
        penalty = kept.sum() * (self.regularization_lambda / x.shape[0])
        if not self.training:
            return x * kept.index_select(0, self.owners), penalty
        noise = torch.logit(torch.rand(x.shape[0], len(self.logits), device=x.device))  # (B, F)
        dropped = torch.sigmoid((self.logits + noise) / TEMPERATURE)
        return x * (1 - dropped).index_select(1, self.owners), penalty
