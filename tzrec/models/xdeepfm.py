"""xDeepFM: a compressed interaction network beside an MLP."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.xdeepfm import DEEP, WIDE
from tzrec.modules.cin import CIN
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class xDeepFM(Model):  # noqa: N801  the message's name
    """xDeepFM (Lian et al., KDD 2018): the network on the group "wide", the MLP on the group "deep"."""

    def build(self, config: pb.xDeepFM, dims: Dims, heads: Heads) -> None:
        self.fields = len(dims.features(WIDE))
        self.cin = CIN(self.fields, **kwargs(config.cin))
        self.deep = MLP(dims[DEEP], **kwargs(config.deep))
        self.final = MLP(self.cin.out_dim + self.deep.out_dim, **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        vectors = grouped[WIDE].unflatten(1, (self.fields, -1))  # (B, F, D)
        both = torch.cat([self.cin(vectors), self.deep(grouped[DEEP])], 1)
        return ModelOutput({"": self.output(self.final(both))})
