"""FieldLinear: a separate linear map for each field."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FieldLinear(nn.Module):
    """`e = x W` for each field, without a bias: a number scales a vector. All fields are one batched product.

    Args:
        fields: number of fields of a row, F.
        in_dim: width of each field.
        dim: width of the embedding of each field.
    """

    def __init__(self, fields: int, in_dim: int, dim: int) -> None:
        super().__init__()
        bound = in_dim**-0.5
        self.weight = nn.Parameter(torch.empty(fields, in_dim, dim).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F * in_dim) -> (B, F * dim)"""
        fields, in_dim, _ = self.weight.shape
        by_field = x.unflatten(1, (fields, in_dim)).transpose(0, 1)  # (F, B, in_dim)
        return torch.bmm(by_field, self.weight).transpose(0, 1).flatten(1)
