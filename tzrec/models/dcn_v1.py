"""DCNV1: cross layers beside an MLP."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.cross import CrossNet
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class DCNV1(Model):
    """Deep & Cross Network (Wang et al., ADKDD 2017) on the first feature group."""

    def build(self, config: pb.DCNV1, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.cross = CrossNet(in_dim, **kwargs(config.cross))
        self.deep = MLP(in_dim, **kwargs(config.deep))
        self.final = MLP(in_dim + self.deep.out_dim, **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim, bias=False)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[self.group]  # (B, D)
        both = torch.cat([self.cross(x), self.deep(x)], 1)  # (B, D + H)
        return ModelOutput({"": self.output(self.final(both))})
