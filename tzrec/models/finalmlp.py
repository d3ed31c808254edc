"""FinalMLP: bilinear fusion of two gated MLPs."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.bilinear import BilinearFusion
from tzrec.modules.mlp import MLP
from tzrec.protos.models import more_rank_models_pb2 as pb


class FinalMLP(Model):
    """FinalMLP (Mao et al., AAAI 2023) on the first feature group, gated by the groups that its streams name."""

    def build(self, config: pb.FinalMLP, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.first = _Stream(config.first, in_dim, dims)
        self.second = _Stream(config.second, in_dim, dims)
        widths = (self.first.mlp.out_dim, self.second.mlp.out_dim)
        self.fusion = BilinearFusion(*widths, heads[""].out_dim, config.head_num)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[self.group]  # (B, D)
        return ModelOutput({"": self.fusion(self.first(x, grouped), self.second(x, grouped))})


class _Stream(nn.Module):
    """`mlp(x * 2 sigmoid(gate(g)))` with g the group of the gate."""

    def __init__(self, config: pb.GatedStream, in_dim: int, dims: Dims) -> None:
        super().__init__()
        self.gate_group = config.gate_group
        self.mlp = MLP(in_dim, **kwargs(config.mlp))
        if self.gate_group:
            self.gate_mlp = MLP(dims[self.gate_group], **kwargs(config.gate_mlp))  # without layers, the identity
            self.gate = nn.Linear(self.gate_mlp.out_dim, in_dim)

    def forward(self, x: torch.Tensor, grouped: Grouped) -> torch.Tensor:
        if self.gate_group:
            x = x * (2 * torch.sigmoid(self.gate(self.gate_mlp(grouped[self.gate_group]))))  # (B, D)
        return self.mlp(x)
