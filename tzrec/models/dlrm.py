"""DLRM: dot products between all embeddings."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks
from tzrec.models.base import Grouped, Logits, Model
from tzrec.modules.interaction import DotLinear
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class DLRM(Model):
    """Deep learning recommendation model (Naumov et al., 2019) on the groups "dense", if there is one, and "sparse"."""

    def build(self, config: pb.DLRM, dims: Dims, tasks: Tasks) -> None:
        sparse = dims.features("sparse")
        self.dense_mlp = MLP(dims["dense"], **kwargs(config.dense_mlp)) if "dense" in dims else None
        with_dense = int(self.dense_mlp is not None)
        fields = len(sparse) + with_dense
        passed = fields if config.arch_with_sparse else with_dense
        # the first layer of `final` takes the vectors and makes their dot products itself
        first = partial(DotLinear, fields, sparse[0], passed)
        self.final = MLP(fields * sparse[0], **kwargs(config.final), first=first)
        self.output = nn.Linear(self.final.out_dim, tasks[""].out_dim)

    def body(self, grouped: Grouped) -> Logits:
        vectors = grouped["sparse"]  # (B, F * D)
        if self.dense_mlp is not None:
            vectors = torch.cat([self.dense_mlp(grouped["dense"]).to(vectors.dtype), vectors], 1)  # (B, (1 + F) * D)
        return {"": self.output(self.final(vectors))}
