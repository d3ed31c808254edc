"""DC2VR: towers with interventions of earlier towers."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.dbmtl import build_bottom, source_indices
from tzrec.modules.intervention import Intervention
from tzrec.modules.mlp import MLP
from tzrec.protos.models import multi_task_rank_pb2 as pb


class DC2VR(Model):
    """Interventions between tasks on the first feature group.

    Task t has `y_t = intervention_t(mlp_t(x_t), [y_i, y_j ...])` with the towers i, j ... that it names, or
    `mlp_t(x_t)` alone, and a linear layer on y_t. Gradients do not reach the towers that are read.
    """

    def build(self, config: pb.DC2VR, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.bottom = build_bottom(config, in_dim, len(heads))
        self.sources = source_indices(config.task_towers, "intervention_tower_names")
        self.names, self.own, self.linears = list(heads), nn.ModuleList(), nn.ModuleList()
        self.interventions = nn.ModuleDict()
        widths: list[int] = []
        for tower, head, sources in zip(config.task_towers, heads.values(), self.sources):
            own = MLP(self.bottom.out_dim, **(head.tower or {"hidden_units": []}))
            if sources:
                read, values = sum(widths[source] for source in sources), kwargs(tower)
                intervention = Intervention(own.out_dim, read, values["low_rank_dim"], values["dropout_ratio"])
                self.interventions[str(len(widths))] = intervention
            self.own.append(own)
            self.linears.append(nn.Linear(own.out_dim, head.out_dim))
            widths.append(own.out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        outputs: list[torch.Tensor] = []  # (B, D_t) each
        for index, (x, own, sources) in enumerate(zip(self.bottom(grouped[self.group]), self.own, self.sources)):
            y = own(x)
            if sources:
                y = self.interventions[str(index)](y, torch.cat([outputs[source] for source in sources], dim=1))
            outputs.append(y)
        return ModelOutput({name: linear(y) for name, linear, y in zip(self.names, self.linears, outputs)})
