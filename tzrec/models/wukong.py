"""WuKong: stacked factorization machines."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.wukong import DENSE, GROUPS, SPARSE
from tzrec.modules.mlp import MLP
from tzrec.modules.wukong import WuKongLayer
from tzrec.protos.models import rank_model_pb2 as pb


class WuKong(Model):
    """Wukong (Zhang et al., ICML 2024) on the groups "dense", if there is one, and "sparse", or on a single group."""

    def build(self, config: pb.WuKong, dims: Dims, heads: Heads) -> None:
        self.sparse = GROUPS.name_of(SPARSE, dims)
        widths = dims.features(self.sparse)
        has_dense = DENSE in dims and self.sparse != DENSE
        self.dense_mlp = MLP(dims[DENSE], **kwargs(config.dense_mlp)) if has_dense else None
        if self.dense_mlp is not None:
            width = self.dense_mlp.out_dim
            self.dense_output = nn.Identity() if width == widths[0] else nn.Linear(width, widths[0])
        self.fields = len(widths) + int(self.dense_mlp is not None)
        fields, self.layers = self.fields, nn.Sequential()
        for layer in config.wukong_layers:
            module = WuKongLayer(fields, widths[0], **kwargs(layer))
            self.layers.append(module)
            fields = module.out_fields
        self.final = MLP(fields * widths[0], **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        vectors = grouped[self.sparse]  # (B, F * D)
        if self.dense_mlp is not None:
            dense = self.dense_output(self.dense_mlp(grouped[DENSE]))  # (B, D)
            vectors = torch.cat([dense.to(vectors.dtype), vectors], 1)  # (B, (1 + F) * D)
        stacked = self.layers(vectors.unflatten(1, (self.fields, -1)))  # (B, F', D)
        return ModelOutput({"": self.output(self.final(stacked.flatten(1)))})
