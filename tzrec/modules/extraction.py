"""Extraction: one level of progressive layered extraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn

from tzrec.modules.mlp import MLP
from tzrec.ops import gated_mix


class Extraction(nn.Module):
    """Task experts and shared experts, with a gate for each task and, on request, one for the shared output.

    The output of task t mixes its own experts and the shared ones: `y_t = sum_n softmax(G_t x_t)_n e_n`. Its experts
    read `x_t`, the shared ones `x_s`. The shared output mixes all experts: `y_s = sum_n softmax(G_s x_s)_n e_n`.

    Tang et al., Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for Personalized
    Recommendations, RecSys 2020.

    Args:
        in_dim: width of all inputs.
        num_task: number of tasks.
        per_task: number of experts of each task.
        task_expert: arguments of the MLP of each task expert.
        shared: number of shared experts; 0 for none.
        shared_expert: arguments of the MLP of each shared expert, with the same output width as `task_expert`.
        has_shared_output: compute `y_s`, which only a following level can use.
    """

    def __init__(
        self,
        in_dim: int,
        num_task: int,
        per_task: int,
        task_expert: Mapping[str, Any],
        shared: int,
        shared_expert: Mapping[str, Any],
        has_shared_output: bool,
    ) -> None:
        super().__init__()
        self.task_experts = nn.ModuleList(_experts(in_dim, per_task, task_expert) for _ in range(num_task))
        self.shared_experts = _experts(in_dim, shared, shared_expert)
        self.task_gates = nn.ModuleList(nn.Linear(in_dim, per_task + shared) for _ in range(num_task))
        self.shared_gate = nn.Linear(in_dim, num_task * per_task + shared) if has_shared_output else None
        self.out_dim = [*task_expert["hidden_units"]][-1]
        self._gated_mix = gated_mix.select()

    def forward(
        self, inputs: Sequence[torch.Tensor], shared: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """One (B, in_dim) per task, and the shared one if there are shared experts -> the same of (B, out_dim)"""
        by_task = [
            [expert(x) for expert in experts] for x, experts in zip(inputs, self._experts_by_task())
        ]  # T x N of (B, out_dim)
        common = [] if shared is None else [expert(shared) for expert in self.shared_experts]
        mixed = [self._mix(gate, x, [*own, *common]) for gate, x, own in zip(self.task_gates, inputs, by_task)]
        if self.shared_gate is None or shared is None:
            return mixed, None
        return mixed, self._mix(self.shared_gate, shared, [*chain.from_iterable(by_task), *common])

    def _mix(self, gate: nn.Module, x: torch.Tensor, experts: Sequence[torch.Tensor]) -> torch.Tensor:
        return self._gated_mix(torch.softmax(gate(x), dim=1), experts)

    def _experts_by_task(self) -> list[nn.ModuleList]:
        return [experts for experts in self.task_experts if isinstance(experts, nn.ModuleList)]


def _experts(in_dim: int, count: int, mlp: Mapping[str, Any]) -> nn.ModuleList:
    return nn.ModuleList(MLP(in_dim, **mlp) for _ in range(count))
