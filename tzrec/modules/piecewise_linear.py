"""PiecewiseLinear: embed a number by a function that is linear between edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PiecewiseLinear(nn.Module):
    """For each field, `t_k = clamp((x - e_k) / (e_(k+1) - e_k), 0, 1)` and `e = sum_k t_k W_k`.

    Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022, section 3.2. Each
    number of t says how far x has come through one interval, so that the embedding is continuous in x, with another
    slope in each interval, and constant outside of the edges. Numbers up to the first edge have the vector 0. All
    fields are one batched product.

    Args:
        edges: increasing edges of each field, K + 1 of them.
        dim: width of the embedding of each field.
    """

    edges: Tensor

    def __init__(self, edges: Sequence[Sequence[float]], dim: int) -> None:
        super().__init__()
        num_intervals = len(edges[0]) - 1
        bound = num_intervals**-0.5
        self.weight = nn.Parameter(torch.empty(len(edges), num_intervals, dim).uniform_(-bound, bound))
        # the weights of a checkpoint belong to its edges
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float32).unsqueeze(1))  # (F, 1, K + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F * dim)"""
        distances = x.t().unsqueeze(2) - self.edges[..., :-1]  # (F, B, K)
        shares = (distances / self.edges.diff()).clamp(0.0, 1.0)  # (F, B, K)
        return torch.bmm(shares, self.weight).transpose(0, 1).flatten(1)
