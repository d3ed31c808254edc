"""FiBiNET: bilinear products of pairs of features, plain and weighted."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.bilinear import BilinearPairs, SqueezeExcitation
from tzrec.modules.mlp import MLP
from tzrec.protos.models import more_rank_models_pb2 as pb


class FiBiNET(Model):
    """FiBiNET (Huang et al., RecSys 2019) on the first feature group."""

    def build(self, config: pb.FiBiNET, dims: Dims, heads: Heads) -> None:
        self.group, _ = dims.only()
        widths = dims.features(self.group)
        self.fields = len(widths)
        self.weigh = SqueezeExcitation(self.fields, config.reduction_ratio)
        kind = kwargs(config)["bilinear"]
        self.plain_pairs = BilinearPairs(self.fields, widths[0], kind)
        self.weighed_pairs = BilinearPairs(self.fields, widths[0], kind)
        self.deep = MLP(2 * self.plain_pairs.out_dim, **kwargs(config.deep))
        self.output = nn.Linear(self.deep.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        vectors = grouped[self.group].unflatten(1, (self.fields, -1))  # (B, F, D)
        pairs = [self.plain_pairs(vectors), self.weighed_pairs(self.weigh(vectors))]  # (B, F (F - 1) / 2 * D) each
        return ModelOutput({"": self.output(self.deep(torch.cat(pairs, 1)))})
