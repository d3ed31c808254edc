"""DCNV2: low-rank cross layers, with optional MLPs before and beside them."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.cross import LowRankCrossNet
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class DCNV2(Model):
    """DCN V2 (Wang et al., WWW 2021) on the first feature group."""

    def build(self, config: pb.DCNV2, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.backbone = MLP(in_dim, **kwargs(config.backbone))  # the identity if it has no layers
        self.cross = LowRankCrossNet(self.backbone.out_dim, **kwargs(config.cross))
        width = self.cross.out_dim
        self.deep = None
        if config.HasField("deep"):
            self.deep = MLP(self.backbone.out_dim, **kwargs(config.deep))
            width += self.deep.out_dim
        self.final = MLP(width, **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim, bias=False)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = self.backbone(grouped[self.group])  # (B, D)
        crossed = self.cross(x)  # (B, D)
        if self.deep is not None:
            crossed = torch.cat([crossed, self.deep(x)], 1)  # (B, D + H)
        return ModelOutput({"": self.output(self.final(crossed))})
