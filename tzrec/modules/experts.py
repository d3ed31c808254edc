"""MixtureOfExperts: shared experts with one softmax gate per task."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tzrec.modules.mlp import MLP
from tzrec.ops import gated_mix
from tzrec.ops.autocast import compute_type


class MixtureOfExperts(nn.Module):
    """`mixed_t = sum_n softmax(gate_t(x))_n expert_n(x)` for every task t.

    Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts, KDD 2018.

    Args:
        in_dim: width of the input.
        num_expert: number of experts, all of one shape.
        expert: arguments of each expert's MLP.
        num_task: number of gates and of outputs.
        gate: arguments of an MLP in front of each gate's linear; None for a linear alone.
    """

    def __init__(
        self,
        in_dim: int,
        num_expert: int,
        expert: Mapping[str, Any],
        num_task: int,
        gate: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        experts = [MLP(in_dim, **expert) for _ in range(num_expert)]
        self.out_dim = experts[0].out_dim
        self.experts = nn.ModuleList(experts)
        self.gates = nn.ModuleList(_gate(in_dim, num_expert, gate) for _ in range(num_task))
        self._gated_mix = gated_mix.select()

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, in_dim) -> one (B, out_dim) per task"""
        x = x.to(compute_type(x))  # once, not once per expert and gate
        outputs = [expert(x) for expert in self.experts]  # N of (B, D)
        return [self._gated_mix(torch.softmax(gate(x), dim=1), outputs) for gate in self.gates]  # gates (B, N)


def _gate(in_dim: int, num_expert: int, mlp: Mapping[str, Any] | None) -> nn.Sequential:
    if mlp is None:
        return nn.Sequential(OrderedDict(linear=nn.Linear(in_dim, num_expert)))
    hidden = MLP(in_dim, **mlp)
    return nn.Sequential(OrderedDict(mlp=hidden, linear=nn.Linear(hidden.out_dim, num_expert)))
