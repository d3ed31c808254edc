"""DLRM: dot products between all embeddings."""

from __future__ import annotations

from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.dlrm import DENSE, GROUPS, SPARSE
from tzrec.modules.mlp import MLP
from tzrec.ops import dot_pairs
from tzrec.protos.models import rank_model_pb2 as pb


class DLRM(Model):
    """Deep learning recommendation model (Naumov et al., 2019).

    It reads the groups "dense", if there is one, and "sparse", or a single group of any name.
    """

    def build(self, config: pb.DLRM, dims: Dims, heads: Heads) -> None:
        self.sparse = GROUPS.name_of(SPARSE, dims)
        sparse = dims.features(self.sparse)
        self.dim = sparse[0]
        has_dense = DENSE in dims and self.sparse != DENSE
        self.dense_mlp = MLP(dims[DENSE], **kwargs(config.dense_mlp)) if has_dense else None
        with_dense = int(self.dense_mlp is not None)
        fields = len(sparse) + with_dense
        self.num_passed = fields if config.arch_with_sparse else with_dense
        self.final = MLP(fields * (fields - 1) // 2 + self.num_passed * self.dim, **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim)
        self._dot_pairs = dot_pairs.select()

    def forward(self, grouped: Grouped) -> ModelOutput:
        parts = [grouped[self.sparse]]  # (B, F * D)
        if self.dense_mlp is not None:
            parts.insert(0, self.dense_mlp(grouped[DENSE]))  # (B, D)
        return ModelOutput({"": self.output(self.final(self._dot_pairs(parts, self.dim, self.num_passed)))})
