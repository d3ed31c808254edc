"""VariationalDropout: learned dropout probabilities of features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TEMPERATURE = 0.1
"""Temperature of the relaxed draws: they are close to 0 or 1 and have a gradient."""


class VariationalDropout(nn.Module):
    """Drop whole features with learned probabilities `p_f = sigmoid(theta_f)`: features with high p_f matter little.

    In training feature f of a row is multiplied by `1 - z`, `z = sigmoid((logit(p_f) + logit(u)) / 0.1)` with u uniform
    in (0, 1), a draw for each row and feature; in evaluation by `1 - p_f`. A penalty of `lambda / B * sum_f (1 - p_f)`
    rewards dropping. Initially `p_f = 1/2` for all features.

    Ma et al., Towards a Better Tradeoff between Effectiveness and Efficiency in Pre-Ranking: A Learnable Feature
    Selection based Approach, SIGIR 2021, with the same penalty for all features instead of one by cost; the relaxed
    draw is that of Gal et al., Concrete Dropout, NIPS 2017.

    Args:
        widths: number of columns of each feature.
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
        """Concatenated features `(B, sum of widths)` -> scaled features of this shape, penalty (0-dimensional)."""
        keep = 1 - torch.sigmoid(self.logits)  # (F,)
        penalty = keep.sum() * (self.regularization_lambda / x.shape[0])
        if not self.training:
            return x * keep.index_select(0, self.owners), penalty
        noise = torch.logit(torch.rand(x.shape[0], len(self.logits), device=x.device))  # (B, F)
        dropped = torch.sigmoid((self.logits + noise) / TEMPERATURE)
        return x * (1 - dropped).index_select(1, self.owners), penalty
