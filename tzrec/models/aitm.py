"""AITM: each step of a user's path takes what it can use from the step before."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks
from tzrec.models.base import Grouped, Logits, Model
from tzrec.modules.bottom import Bottom
from tzrec.modules.mlp import MLP
from tzrec.modules.transfer import Transfer
from tzrec.protos.models import more_multi_task_pb2 as pb

CALIBRATOR = "behavioral_calibrator"


class AITM(Model):
    """Adaptive information transfer on the first feature group.

    Step t of the path has `z_t = transfer_t(z_(t-1), mlp_t(x))`, the first `z_1 = mlp_1(x)`, and a linear on z_t.
    Nobody takes a step without the one before, so a penalty, the behavioral calibrator, is added to the losses:
    `weight * mean sum_t max(p_t - p_(t-1), 0)`.

    Xi et al., Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in
    Targeted Display Advertising, KDD 2021.
    """

    def build(self, config: pb.AITM, dims: Dims, tasks: Tasks) -> None:
        self.group, in_dim = dims.only()
        self.bottom = Bottom(in_dim, len(tasks), kwargs(config).get("bottom_mlp"))
        own = [MLP(self.bottom.out_dim, **(head.tower or {"hidden_units": []})) for head in tasks.values()]
        self.own, width = nn.ModuleList(own), own[0].out_dim
        self.transfers = nn.ModuleList(Transfer(width) for _ in own[1:])
        self.names, self.linears = list(tasks), nn.ModuleList(nn.Linear(width, head.out_dim) for head in tasks.values())
        tasks.penalise(CALIBRATOR, kwargs(config)["calibrator_weight"])

    def body(self, grouped: Grouped) -> Logits:
        first, *others = (own(x) for own, x in zip(self.own, self.bottom(grouped[self.group])))
        steps = [first]  # (B, D) each
        for transfer, own in zip(self.transfers, others):
            steps.append(transfer(steps[-1], own))
        logits = {name: linear(z) for name, linear, z in zip(self.names, self.linears, steps)}
        return {**logits, CALIBRATOR: _too_likely(list(logits.values()))}


def _too_likely(logits: list[torch.Tensor]) -> torch.Tensor:
    """`sum_t max(p_t - p_(t-1), 0)`, (B, 1)."""
    probs = torch.sigmoid(torch.cat(logits, dim=1))  # (B, T)
    return (probs[:, 1:] - probs[:, :-1]).clamp(min=0).sum(1, keepdim=True)
