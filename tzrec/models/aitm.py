"""AITM: information is transferred from each stage of a conversion path to the next."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.aitm import CALIBRATOR
from tzrec.modules.bottom import Bottom
from tzrec.modules.mlp import MLP
from tzrec.modules.transfer import Transfer
from tzrec.protos.models import more_multi_task_pb2 as pb


class AITM(Model):
    """Adaptive information transfer on the first feature group.

    Stage t of the path has `z_t = transfer_t(z_(t-1), mlp_t(x))`, `z_1 = mlp_1(x)`, and a linear layer on z_t.
    A stage requires the one before. An auxiliary loss, the behavioral calibrator, penalizes stages that are likelier:
    `weight * mean sum_t max(p_t - p_(t-1), 0)`.

    Xi et al., Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in
    Targeted Display Advertising, KDD 2021.
    """

    def build(self, config: pb.AITM, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.bottom = Bottom(in_dim, len(heads), kwargs(config).get("bottom_mlp"))
        mlps = [MLP(self.bottom.out_dim, **(head.tower or {"hidden_units": []})) for head in heads.values()]
        self.own, width = nn.ModuleList(mlps), mlps[0].out_dim
        self.transfers = nn.ModuleList(Transfer(width) for _ in mlps[1:])
        self.names, self.linears = list(heads), nn.ModuleList(nn.Linear(width, head.out_dim) for head in heads.values())

    def forward(self, grouped: Grouped) -> ModelOutput:
        first, *following = (own(x) for own, x in zip(self.own, self.bottom(grouped[self.group])))
        stages = [first]  # (B, D) each
        for transfer, own in zip(self.transfers, following):
            stages.append(transfer(stages[-1], own))
        logits = {name: linear(z) for name, linear, z in zip(self.names, self.linears, stages)}
        return ModelOutput(logits, {CALIBRATOR: _violations(list(logits.values()))})


def _violations(logits: list[torch.Tensor]) -> torch.Tensor:
    """`sum_t max(p_t - p_(t-1), 0)` of logits `(B, 1)` per stage, `(B,)`."""
    probs = torch.sigmoid(torch.cat(logits, dim=1))  # (B, T)
    return (probs[:, 1:] - probs[:, :-1]).clamp(min=0).sum(1)
