"""Weighted sum of expert outputs as one batched matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gated_mix(gate: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """`y[b] = sum_e gate[b, e] * experts[e][b]`.

    Args:
        gate: `(B, E)`.
        experts: E tensors `(B, D)`.

    Returns:
        `(B, D)` in the experts' type.
    """
    stacked = torch.stack(list(experts), dim=1)  # (B, E, D)
    return torch.matmul(gate.unsqueeze(1).to(stacked.dtype), stacked).squeeze(1)
