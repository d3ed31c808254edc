"""DBMTL: towers that read the outputs of earlier towers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.bottom import Bottom
from tzrec.modules.mask_net import MaskNetModule
from tzrec.modules.mlp import MLP
from tzrec.protos.models import multi_task_rank_pb2 as pb


class DBMTL(Model):
    """Deep Bayesian multi-target learning on the first feature group: optional MaskNet, MLP and experts, then towers.

    Task t has `r_t = relation_mlp_t([mlp_t(x_t), r_i, r_j ...])` with the towers i, j ... that it names, and a linear
    layer on r_t: the layers model `p(t | x, i, j ...)` of a Bayesian network whose edges are the names.

    Wang et al., Deep Bayesian Multi-Target Learning for Recommender Systems, 2019.
    """

    def build(self, config: pb.DBMTL, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.mask_net = (
            MaskNetModule(in_dim, **kwargs(config.mask_net)) if config.HasField("mask_net") else nn.Identity()
        )
        in_dim = getattr(self.mask_net, "out_dim", in_dim)
        self.bottom = build_bottom(config, in_dim, len(heads))
        self.sources = source_indices(config.task_towers, "relation_tower_names")
        self.names, self.own, self.relations, self.linears = list(heads), *(nn.ModuleList() for _ in range(3))
        widths: list[int] = []
        for tower, head, sources in zip(config.task_towers, heads.values(), self.sources):
            own = MLP(self.bottom.out_dim, **(head.tower or {"hidden_units": []}))
            relation = kwargs(tower).get("relation_mlp", {"hidden_units": []})
            joined = MLP(own.out_dim + sum(widths[source] for source in sources), **relation)
            self.own.append(own)
            self.relations.append(joined)
            self.linears.append(nn.Linear(joined.out_dim, head.out_dim))
            widths.append(joined.out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        inputs = self.bottom(self.mask_net(grouped[self.group]))
        related: list[torch.Tensor] = []  # (B, D_t) each
        for x, own, relation, sources in zip(inputs, self.own, self.relations, self.sources):
            related.append(relation(torch.cat([own(x), *(related[source] for source in sources)], dim=1)))
        return ModelOutput({name: linear(x) for name, linear, x in zip(self.names, self.linears, related)})


def build_bottom(config: pb.DBMTL | pb.DC2VR, in_dim: int, num_task: int) -> Bottom:
    """Build the bottom of the fields that both messages have."""
    values = kwargs(config)
    return Bottom(
        in_dim, num_task, values.get("bottom_mlp"), config.num_expert, values.get("expert_mlp"), values.get("gate_mlp")
    )


def source_indices(towers: Sequence[Any], field: str) -> list[list[int]]:
    """Indices of the towers that each tower names in a field."""
    index_by_name = {tower.tower_name: index for index, tower in enumerate(towers)}
    return [[index_by_name[name] for name in getattr(tower, field)] for tower in towers]
