"""DotLinear: the first layer behind the dot products of DLRM."""

from __future__ import annotations

import math

import torch
from torch import nn

from tzrec.ops.dot_linear import dot_linear


class DotLinear(nn.Module):
    """A linear layer on the dot products of all pairs of vectors, and on some of the vectors themselves.

    Naumov et al., Deep Learning Recommendation Model for Personalization and Recommendation Systems, 2019.

    Args:
        fields: vectors of a row.
        dim: width of each.
        passed: how many of them, from the first, enter beside the dot products.
        out_features: width of the output.
        bias: whether there is one.
    """

    def __init__(self, fields: int, dim: int, passed: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.fields = fields
        in_features = fields * (fields - 1) // 2 + passed * dim
        bound = 1 / math.sqrt(max(in_features, 1))
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, fields * dim) -> (B, out_features)"""
        return dot_linear(x, self.fields, self.weight, self.bias)
