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

    def __init__(self, edges: Sequence[Sequence[float]], dim: int) -> None:
        super().__init__()
        self._edges = [list(places) for places in edges]  # no buffer: the config holds them, not the checkpoint
        num_intervals = len(self._edges[0]) - 1
        bound = num_intervals**-0.5
        self.weight = nn.Parameter(torch.empty(len(self._edges), num_intervals, dim).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F * dim)"""
        edges = torch.tensor(self._edges, dtype=x.dtype, device=x.device).unsqueeze(1)  # (F, 1, K + 1)
        shares = ((x.t().unsqueeze(2) - edges[..., :-1]) / edges.diff()).clamp(0.0, 1.0)  # (F, B, K)
        return torch.bmm(shares, self.weight).transpose(0, 1).flatten(1)
