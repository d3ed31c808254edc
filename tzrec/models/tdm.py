"""TDM: scores of the nodes of a tree of items, by attention of a node over windows of the history."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.assemble import jagged_sequence
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput, ModelPart
from tzrec.modules.din import MultiWindowDIN
from tzrec.modules.mlp import MLP
from tzrec.protos.model_pb2 import DEEP, FeatureGroupConfig, ModelConfig
from tzrec.protos.models import match_model_pb2 as pb

ITEM = "item_emb"
"""Output of the package `embedding`: the features of a node in the sequence group."""


class TDM(Model):
    """Attention over windows of the history, then an MLP (Zhu et al., KDD 2018, section 3.3 and figure 2).

    The query of the sequence group is a node, an item or an inner node of the tree; a beam search finds the items with
    the highest probabilities (section 3.2). An export consists of the packages `model`, which scores nodes, and
    `embedding`, which returns the vectors of items from which the tree is built anew.
    """

    part_names = ("model", "embedding")

    def build(self, config: pb.TDM, dims: Dims, heads: Heads) -> None:
        ((self.history, (query_dim, dim)),) = dims.sequences.items()
        self._node_features = dims.queries.get(self.history, ())
        windows, attn_mlp = config.multiwindow_din.windows_len, kwargs(config.multiwindow_din.attn_mlp)
        self.multiwindow_din = MultiWindowDIN(query_dim, dim, windows, attn_mlp)
        self.groups = list(dims)
        width = self.multiwindow_din.out_dim + sum(dims[group] for group in self.groups)
        self.deep_mlp = MLP(width, **kwargs(config.final))
        self.output_mlp = nn.Linear(self.deep_mlp.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        interest = self.multiwindow_din(grouped[f"{self.history}.query"], jagged_sequence(grouped, self.history))
        x = torch.cat([interest, *(grouped[group] for group in self.groups)], 1)
        return ModelOutput({"": self.output_mlp(self.deep_mlp(x))})

    def parts(self, config: ModelConfig) -> Mapping[str, ModelPart]:
        node = FeatureGroupConfig()
        node.CopyFrom(next(group for group in config.feature_groups if group.group_name == self.history))
        node.group_type = DEEP
        del node.feature_names[:]
        node.feature_names.extend(self._node_features)
        return {
            "model": ModelPart(config.feature_groups, self),
            "embedding": ModelPart([node], NodeVectors(self.history)),
        }


class NodeVectors(nn.Module):
    """Embeddings of the features of a node as an output."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self._group = group

    def forward(self, grouped: Grouped) -> Grouped:
        return {ITEM: grouped[self._group]}
