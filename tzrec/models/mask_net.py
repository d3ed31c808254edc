"""MaskNet: features multiplied by masks computed from the features."""

from __future__ import annotations

from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules import mask_net
from tzrec.protos.models import rank_model_pb2 as pb


class MaskNet(Model):
    """MaskNet (Wang et al., DLP-KDD 2021) on the first feature group."""

    def build(self, config: pb.MaskNet, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.mask_net = mask_net.MaskNetModule(in_dim, **kwargs(config.mask_net_module))
        self.output = nn.Linear(self.mask_net.out_dim, heads[""].out_dim, bias=False)

    def forward(self, grouped: Grouped) -> ModelOutput:
        return ModelOutput({"": self.output(self.mask_net(grouped[self.group]))})
