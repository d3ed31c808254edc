"""MatchTower: from the features of one side to the vector that is compared with the other side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.mlp import MLP


def unit_vectors(x: Tensor) -> Tensor:
    """Vectors of length 1 over the last axis, in float32 at least; zero vectors stay zero."""
    return functional.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1, eps=1e-12)


class MatchTower(nn.Module):
    """An MLP, a linear layer and normalization, each of them optional.

    Args:
        in_dim: width of the features.
        mlp: arguments of the MLP; None for none.
        output_dim: width of the linear layer; 0 or less for none.
        is_normalized: scale the vectors to length 1.

    Attributes:
        out_dim: width of the vectors.
    """

    def __init__(self, in_dim: int, mlp: Mapping[str, Any] | None, output_dim: int, is_normalized: bool) -> None:
        super().__init__()
        self.mlp = MLP(in_dim, **(mlp or {"hidden_units": []}))
        self.output = nn.Linear(self.mlp.out_dim, output_dim) if output_dim > 0 else None
        self.out_dim = output_dim if output_dim > 0 else self.mlp.out_dim
        self._is_normalized = is_normalized

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_dim) -> (B, out_dim)"""
        vectors = self.mlp(features)
        if self.output is not None:
            vectors = self.output(vectors)
        return unit_vectors(vectors) if self._is_normalized else vectors
