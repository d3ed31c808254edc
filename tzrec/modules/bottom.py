"""Bottom: layers that the tasks of a model share before their towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tzrec.modules.experts import MixtureOfExperts
from tzrec.modules.mlp import MLP


class Bottom(nn.Module):
    """A shared MLP, then a mixture of experts for each task; either may be absent.

    Args:
        in_dim: width of the input.
        num_task: number of outputs.
        mlp: arguments of the shared MLP; None for none.
        num_expert: number of experts.
        expert: arguments of each expert's MLP; None for no experts.
        gate: arguments of an MLP in front of each gate's linear; None for a linear alone.
    """

    def __init__(
        self,
        in_dim: int,
        num_task: int,
        mlp: Mapping[str, Any] | None = None,
        num_expert: int = 0,
        expert: Mapping[str, Any] | None = None,
        gate: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.num_task = num_task
        self.mlp = MLP(in_dim, **(mlp or {"hidden_units": []}))
        self.out_dim = self.mlp.out_dim
        self.experts: MixtureOfExperts | None = None
        if expert is not None:
            self.experts = MixtureOfExperts(self.out_dim, num_expert, expert, num_task, gate)
            self.out_dim = self.experts.out_dim

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, in_dim) -> one (B, out_dim) per task"""
        x = self.mlp(x)
        return [x] * self.num_task if self.experts is None else self.experts(x)
