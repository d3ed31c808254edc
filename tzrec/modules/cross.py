"""Cross layers of the Deep & Cross Networks: explicit products of features; each layer raises the degree by one."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


class CrossNet(nn.Module):
    """`x_{l+1} = x_0 (w_l . x_l) + b_l + x_l`.

    Wang et al., Deep & Cross Network for Ad Click Predictions, ADKDD 2017, equation 3.

    Every x_l is `a_l x_0 + s_l` with a number a_l per row and a vector s_l that is the same for all rows, so that all
    layers together are one matrix product, a few columns, and one scaling of x_0:
    `a_{l+1} = a_l + a_l (w_l . x_0) + w_l . s_l` and `s_{l+1} = s_l + b_l`.

    Args:
        in_dim: width of the input and of the output.
        cross_num: number of layers.
    """

    def __init__(self, in_dim: int, cross_num: int = 3) -> None:
        super().__init__()
        self.out_dim = in_dim
        self.weight = nn.Parameter(torch.empty(cross_num, in_dim).normal_(0, in_dim**-0.5))
        self.bias = nn.Parameter(torch.zeros(cross_num, in_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) -> (B, in_dim)"""
        scores = x @ self.weight.t()  # (B, L)
        scale = torch.ones_like(scores[:, :1])  # (B, 1)
        shift = torch.zeros_like(self.bias[0])  # (in_dim,)
        for score, weight, bias in zip(scores.split(1, dim=1), self.weight, self.bias, strict=True):
            scale = scale + scale * score + weight.dot(shift)
            shift = shift + bias
        return x * scale + shift


class LowRankCrossNet(nn.Module):
    """`x_{l+1} = x_0 * (V_l (U_l x_l) + b_l) + x_l`.

    Wang et al., DCN V2: Improved Deep & Cross Network, WWW 2021, equation 2.

    Args:
        in_dim: width of the input and of the output.
        cross_num: number of layers.
        low_rank: columns of V and rows of U.
    """

    def __init__(self, in_dim: int, cross_num: int = 3, low_rank: int = 32) -> None:
        super().__init__()
        self.out_dim = in_dim
        self.layers = nn.ModuleList(_low_rank(in_dim, low_rank) for _ in range(cross_num))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) -> (B, in_dim)"""
        crossed = x
        for layer in self.layers:
            crossed = torch.addcmul(crossed, x, layer(crossed).to(x.dtype))
        return crossed


def _low_rank(dim: int, rank: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(u=nn.Linear(dim, rank, bias=False), v=nn.Linear(rank, dim)))
