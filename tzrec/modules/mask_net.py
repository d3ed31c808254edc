"""MaskNet: features multiplied by masks computed from the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from tzrec.modules.mlp import MLP


class MaskBlock(nn.Module):
    """`relu(layer_norm(W_h (x * mask(e)) + b_h))` with `mask(e) = W_2 relu(W_1 e + b_1) + b_2`.

    b_h is not in the paper; it is initially zero. Checkpoints of earlier versions do not have it.

    Args:
        in_dim: width of x, and of the mask.
        mask_dim: width of e.
        reduction_ratio: width of the mask's hidden layer divided by mask_dim; 0 for aggregation_dim.
        aggregation_dim: width of the mask's hidden layer.
        hidden_dim: width of the output.
    """

    ZERO_IF_ABSENT: ClassVar = ("linear.bias",)

    def __init__(
        self, in_dim: int, mask_dim: int, hidden_dim: int, reduction_ratio: float = 1.0, aggregation_dim: int = 0
    ) -> None:
        super().__init__()
        hidden = max(int(mask_dim * reduction_ratio), 1) if reduction_ratio > 0 else aggregation_dim
        self.mask_hidden = MLP(mask_dim, [hidden])
        self.mask = nn.Linear(hidden, in_dim)
        self.linear = nn.Linear(in_dim, hidden_dim)
        nn.init.zeros_(self.linear.bias)
        self.norm = nn.LayerNorm(hidden_dim)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(B, in_dim), (B, mask_dim) -> (B, hidden_dim)"""
        mask = self.mask(self.mask_hidden(embedding))  # (B, in_dim)
        return torch.relu(self.norm(self.linear(x * mask)))


class MaskNetModule(nn.Module):
    """Mask blocks on the normalized input, parallel or serial; every mask is computed from the raw input.

    Wang et al., MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided Mask,
    DLP-KDD 2021.

    Args:
        in_dim: width of the input.
        n_mask_blocks: number of blocks.
        mask_block: further arguments of MaskBlock.
        top_mlp: arguments of an MLP on top; None for none.
        use_parallel: concatenate the outputs of all blocks instead of applying one after the other.
    """

    def __init__(
        self,
        in_dim: int,
        n_mask_blocks: int,
        mask_block: Mapping[str, Any],
        top_mlp: Mapping[str, Any] | None = None,
        use_parallel: bool = True,
    ) -> None:
        super().__init__()
        self.use_parallel = use_parallel
        width = mask_block["hidden_dim"]
        self.norm = nn.LayerNorm(in_dim)
        self.blocks = nn.ModuleList(
            MaskBlock(in_dim if use_parallel or index == 0 else width, in_dim, **mask_block)
            for index in range(n_mask_blocks)
        )
        self.top = MLP(width * n_mask_blocks if use_parallel else width, **(top_mlp or {"hidden_units": []}))
        self.out_dim = self.top.out_dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_dim) -> (B, out_dim)"""
        hidden = self.norm(x)  # (B, in_dim)
        if self.use_parallel:
            return self.top(torch.cat([block(hidden, x) for block in self.blocks], 1))
        for block in self.blocks:
            hidden = block(hidden, x)  # (B, hidden_dim)
        return self.top(hidden)
