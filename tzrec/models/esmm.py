"""ESMM: conversion rate trained over all exposures."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.bottom import Bottom
from tzrec.ops.joint_logit import joint_logit
from tzrec.protos.models import more_multi_task_pb2 as pb


class ESMM(Model):
    """Entire space multi-task model on the first feature group.

    `p(click and conversion) = p(click) p(conversion | click)`. The click and the product have losses, which use every
    exposure; the conversion after a click has none, so that it is not biased towards clicked rows. Its logit `b` and
    that of the click `a` are outputs of towers; that of the product is `logit(sigmoid(a) sigmoid(b))`.

    Ma et al., Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate,
    SIGIR 2018.
    """

    def build(self, config: pb.ESMM, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.bottom = Bottom(in_dim, 2, kwargs(config).get("bottom_mlp"))
        self.towers = heads.towers(self.bottom.out_dim)
        self.click, self.both, self.conditional = heads

    def forward(self, grouped: Grouped) -> ModelOutput:
        logits = self.towers(self.bottom(grouped[self.group]))
        click, conversion = logits[self.click], logits[self.both]
        both = joint_logit(click, conversion)
        return ModelOutput({self.click: click, self.both: both, self.conditional: conversion})
