"""AutoInt: self-attention between features."""

from __future__ import annotations

from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.field_attention import FieldAttention
from tzrec.modules.mlp import MLP
from tzrec.protos.models import more_rank_models_pb2 as pb


class AutoInt(Model):
    """AutoInt (Song et al., CIKM 2019) on the first feature group; with `deep`, what the paper calls AutoInt+."""

    def build(self, config: pb.AutoInt, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        widths = dims.features(self.group)
        self.fields = len(widths)
        self.attention = FieldAttention(widths[0], **kwargs(config.attention))
        self.output = nn.Linear(self.fields * self.attention.out_dim, heads[""].out_dim)
        self.deep = None
        if config.HasField("deep"):
            deep = MLP(in_dim, **kwargs(config.deep))
            self.deep = nn.Sequential(deep, nn.Linear(deep.out_dim, heads[""].out_dim, bias=False))

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[self.group]  # (B, F * D)
        logits = self.output(self.attention(x.unflatten(1, (self.fields, -1))).flatten(1))
        if self.deep is not None:
            logits = logits + self.deep(x)
        return ModelOutput({"": logits})
