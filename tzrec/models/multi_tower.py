"""MultiTower: one MLP per group and a final MLP on their outputs."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class MultiTower(Model):
    """A tower on each of the groups that `towers` names."""

    def build(self, config: pb.MultiTower, dims: Dims, heads: Heads) -> None:
        self.groups = [tower.input for tower in config.towers]
        # a tower without an MLP is the identity
        towers = [MLP(dims[tower.input], **kwargs(tower.mlp)) for tower in config.towers]
        self.towers = nn.ModuleList(towers)
        self.final = MLP(sum(tower.out_dim for tower in towers), **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        towers = [tower(grouped[group]) for group, tower in zip(self.groups, self.towers, strict=True)]
        return ModelOutput({"": self.output(self.final(torch.cat(towers, 1)))})
