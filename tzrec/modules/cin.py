"""CIN: compressed interaction network of xDeepFM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class CIN(nn.Module):
    """`x_k[h] = sum_{i, j} W_k[h, i, j] x_{k-1}[i] * x_0[j] + b_k[h]`, each x_k summed over its elements.

    Lian et al., xDeepFM: Combining Explicit and Implicit Feature Interactions, KDD 2018, equation 6. The sum over i and
    j is one matrix product over all rows and elements: the elements come before the fields, so that the products of a
    row and an element are contiguous.

    Args:
        fields: number of vectors of a row, F.
        cin_layer_size: number of vectors of each layer.
    """

    def __init__(self, fields: int, cin_layer_size: Sequence[int]) -> None:
        super().__init__()
        self.out_dim = sum(cin_layer_size)
        in_sizes = [fields, *cin_layer_size[:-1]]
        self.layers = nn.ModuleList(
            nn.Linear(size * fields, out) for size, out in zip(in_sizes, cin_layer_size, strict=True)
        )

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, F, D) -> (B, sum of cin_layer_size)"""
        first = vectors.mT.contiguous()  # (B, D, F)
        x, sums = first, []
        for layer in self.layers:
            products = x.unsqueeze(3) * first.unsqueeze(2)  # (B, D, H, F)
            x = layer(products.flatten(2))  # (B, D, H')
            sums.append(x.sum(1))  # (B, H')
        return torch.cat(sums, 1)
