"""Uncertainty: learned weights of several losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Uncertainty(nn.Module):
    """Uncertainty weighting: the losses `L_k` of K tasks become `sum_k exp(-s_k) L_k + s_k / 2`.

    `s_k = log sigma_k^2` is learned and initialized with 0. At its optimum a task has weight `1 / (2 L_k)`: tasks with
    large losses count less. Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
    Geometry and Semantics", CVPR 2018, equation 10; their factor 1/2 of squared errors only shifts `s_k` and is left
    out.

    Args:
        tasks: number of losses, K.
    """

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(tasks))

    def forward(self, losses: Sequence[torch.Tensor]) -> torch.Tensor:
        """The term to add to the sum of the losses: `sum_k (exp(-s_k) - 1) L_k + s_k / 2`."""
        return (torch.stack(list(losses)) * torch.expm1(-self.log_variance) + self.log_variance / 2).sum()
