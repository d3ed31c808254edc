"""FieldAttention: self-attention between the vectors of a row."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class FieldAttention(nn.Module):
    """Layers of `x_i <- relu([sum_j softmax_j(Q_h x_i . K_h x_j) V_h x_j for heads h] + R x_i)`.

    Song et al., AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks, CIKM 2019,
    equations 5 to 8; dot products are not scaled there. Q, K, V and R of all heads are one matrix product.

    Args:
        dim: width of a vector.
        layer_num: number of layers.
        head_num: number of heads of each layer.
        head_dim: width of a head.
    """

    def __init__(self, dim: int, layer_num: int = 3, head_num: int = 2, head_dim: int = 16) -> None:
        super().__init__()
        self.head_num = head_num
        self.out_dim = head_num * head_dim
        widths = [dim] + [self.out_dim] * (layer_num - 1)
        self.layers = nn.ModuleList(nn.Linear(width, 4 * self.out_dim, bias=False) for width in widths)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, F, dim) -> (B, F, out_dim)"""
        for layer in self.layers:
            *qkv, residual = layer(vectors).chunk(4, dim=2)  # (B, F, out_dim) each
            query, key, value = (x.unflatten(2, (self.head_num, -1)).transpose(1, 2) for x in qkv)
            mixed = functional.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, heads, F, head_dim)
            vectors = torch.relu(mixed.transpose(1, 2).flatten(2) + residual)  # (B, F, out_dim)
        return vectors
