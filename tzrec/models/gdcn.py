"""GDCN: gated cross layers and an MLP."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.gated_cross import GatedCrossNet
from tzrec.modules.mlp import MLP
from tzrec.protos.models import more_rank_models_pb2 as pb


class GDCN(Model):
    """Gated Deep & Cross Network (Wang et al., CIKM 2023) on the first feature group."""

    def build(self, config: pb.GDCN, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.stacked = config.stacked
        self.cross = GatedCrossNet(in_dim, **kwargs(config.cross))
        self.deep = MLP(in_dim, **kwargs(config.deep))
        width = self.deep.out_dim + (0 if self.stacked else in_dim)
        self.output = nn.Linear(width, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[self.group]  # (B, D)
        crossed = self.cross(x)  # (B, D)
        if self.stacked:
            return ModelOutput({"": self.output(self.deep(crossed))})
        return ModelOutput({"": self.output(torch.cat([crossed, self.deep(x)], 1))})
