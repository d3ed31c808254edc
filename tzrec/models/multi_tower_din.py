"""MultiTowerDIN: MLPs on groups, attention of candidates over sequence groups, and a final MLP on their outputs."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.assemble import jagged_sequence
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.din import DIN
from tzrec.modules.mlp import MLP
from tzrec.protos.models import rank_model_pb2 as pb


class MultiTowerDIN(Model):
    """MultiTower with a DIN (Zhou et al., KDD 2018) on each of the sequence groups that `din_towers` names."""

    def build(self, config: pb.MultiTowerDIN, dims: Dims, heads: Heads) -> None:
        self.groups = [tower.input for tower in config.towers]
        self.sequences = [tower.input for tower in config.din_towers]
        # a tower without an MLP is the identity
        towers = [MLP(dims[tower.input], **kwargs(tower.mlp)) for tower in config.towers]
        din_towers = [DIN(*dims.sequences[tower.input], kwargs(tower.attn_mlp)) for tower in config.din_towers]
        self.towers, self.din_towers = nn.ModuleList(towers), nn.ModuleList(din_towers)
        widths = [tower.out_dim for tower in towers] + [tower.out_dim for tower in din_towers]
        self.final = MLP(sum(widths), **kwargs(config.final))
        self.output = nn.Linear(self.final.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        towers = [tower(grouped[group]) for group, tower in zip(self.groups, self.towers, strict=True)]
        for name, tower in zip(self.sequences, self.din_towers, strict=True):
            towers.append(tower(grouped[f"{name}.query"], jagged_sequence(grouped, name)))  # (B, D)
        return ModelOutput({"": self.output(self.final(torch.cat(towers, 1)))})
