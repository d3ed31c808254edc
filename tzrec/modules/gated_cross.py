"""GatedCrossNet: cross layers with a gate on every product."""

from __future__ import annotations

import torch
from torch import nn


class GatedCrossNet(nn.Module):
    """`x_{l+1} = x_0 * (W_l x_l + b_l) * sigmoid(G_l x_l) + x_l`.

    Wang et al., Towards Deeper, Lighter and Interpretable Cross Network for CTR Prediction, CIKM 2023, equation 3.
    W and G are one matrix product.

    Args:
        in_dim: width of the input and of the output.
        cross_num: number of layers.
    """

    def __init__(self, in_dim: int, cross_num: int = 3) -> None:
        super().__init__()
        self.out_dim = in_dim
        self.layers = nn.ModuleList(nn.Linear(in_dim, 2 * in_dim, bias=False) for _ in range(cross_num))
        self.bias = nn.Parameter(torch.zeros(cross_num, in_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) -> (B, in_dim)"""
        crossed = x
        for layer, bias in zip(self.layers, self.bias, strict=True):
            products, gate = layer(crossed).chunk(2, dim=1)  # (B, in_dim) each
            crossed = crossed + x * (products + bias) * torch.sigmoid(gate)
        return crossed
