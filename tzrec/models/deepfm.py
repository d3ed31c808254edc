"""DeepFM: a linear part, a factorization machine and an MLP."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.deepfm import DEEP, FM, WIDE
from tzrec.modules.fm import factorization_machine
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class DeepFM(Model):
    """DeepFM (Guo et al., IJCAI 2017) on the groups "wide", "deep" and, where it differs from "deep", "fm"."""

    def build(self, config: pb.DeepFM, dims: Dims, heads: Heads) -> None:
        self.fm_group = FM if FM in dims else DEEP
        widths = dims.features(self.fm_group)
        self.fields = len(widths)
        self.deep = MLP(dims[DEEP], **kwargs(config.deep))
        self.final = None
        width = self.deep.out_dim
        if config.HasField("final"):
            self.final = MLP(1 + widths[0] + width, **kwargs(config.final))
            width = self.final.out_dim
        self.output = nn.Linear(width, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        wide = grouped[WIDE].sum(1, keepdim=True)  # (B, 1)
        machine = factorization_machine(grouped[self.fm_group].unflatten(1, (self.fields, -1)))  # (B, D)
        deep = self.deep(grouped[DEEP])  # (B, H)
        if self.final is not None:
            return ModelOutput({"": self.output(self.final(torch.cat([wide, machine, deep], 1)))})
        return ModelOutput({"": wide + machine.sum(1, keepdim=True) + self.output(deep)})
