"""WideAndDeep: a linear part beside an MLP."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.wide_and_deep import DEEP, WIDE
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class WideAndDeep(Model):
    """Wide & Deep (Cheng et al., DLRS 2016) on the groups "wide" and "deep"."""

    def build(self, config: pb.WideAndDeep, dims: Dims, heads: Heads) -> None:
        self.deep = MLP(dims[DEEP], **kwargs(config.deep))
        self.final = None
        width = self.deep.out_dim
        if config.HasField("final"):
            self.final = MLP(1 + width, **kwargs(config.final))
            width = self.final.out_dim
        self.output = nn.Linear(width, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        wide = grouped[WIDE].sum(1, keepdim=True)  # (B, 1)
        deep = self.deep(grouped[DEEP])  # (B, H)
        if self.final is not None:
            return ModelOutput({"": self.output(self.final(torch.cat([wide, deep], 1)))})
        return ModelOutput({"": wide + self.output(deep)})
