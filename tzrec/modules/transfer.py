"""Transfer: information passed from one task of a conversion path to the next."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


class Transfer(nn.Module):
    """`z = sum_u w_u V u` over the representation of this task and `relu(I z')` of the previous task's output z'.

    `w = softmax_u((K u) . (Q u) / sqrt(dim))`: attention with a query, a key and a value for each u.

    Xi et al., Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in
    Targeted Display Advertising, KDD 2021, section 3.2.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.info = nn.Linear(dim, dim)
        self.value, self.key, self.query = (nn.Linear(dim, dim) for _ in range(3))
        self.scale = 1 / math.sqrt(dim)

    def forward(self, previous: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Two (B, dim) -> (B, dim)"""
        parts = torch.stack([F.relu(self.info(previous)), own.to(previous.dtype)], dim=1)  # (B, 2, dim)
        scores = (self.key(parts) * self.query(parts)).sum(2, keepdim=True) * self.scale  # (B, 2, 1)
        return (torch.softmax(scores, dim=1) * self.value(parts)).sum(1)
