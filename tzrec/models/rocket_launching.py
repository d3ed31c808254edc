"""RocketLaunching: a small net distilled from a large one that is trained beside it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.rocket_launching import BOOSTER, HINT, LIGHT, compared_layers, similarity_name
from tzrec.modules.mlp import MLP
from tzrec.protos.models import general_rank_model_pb2 as pb
from tzrec.protos.simi_pb2 import COSINE


class RocketLaunching(Model):
    """A light net and, in training, a booster net on the first feature group, over optional shared layers.

    Both have the losses of the task. Auxiliary losses draw the light net to the booster: `hint_l2_loss`, the mean
    squared difference of their logits, and with `feature_based_distillation` a `similarity_i_j` for each of its hidden
    layers i and the first layer j of the booster that is as wide: `-0.1 mean cos(h_i, b_j)`, or with EUCLID the root of
    `sum |h_i - b_j|^2` over the rows of a rank. Gradients of the light net end at its input and at the booster, so
    embeddings, shared layers and booster are trained by the losses of the booster alone.

    Zhou et al., Rocket Launching: A Universal and Efficient Framework for Training Well-Performing Light Net,
    AAAI 2018.
    """

    def build(self, config: pb.RocketLaunching, dims: Dims, heads: Heads) -> None:
        self.group, in_dim = dims.only()
        self.share = MLP(in_dim, **kwargs(config).get("share_mlp", {"hidden_units": []}))
        self.booster = MLP(self.share.out_dim, **kwargs(config.booster_mlp))
        self.light = MLP(self.share.out_dim, **kwargs(config.light_mlp))
        self.booster_output = nn.Linear(self.booster.out_dim, heads[BOOSTER].out_dim)
        self.light_output = nn.Linear(self.light.out_dim, heads[LIGHT].out_dim)
        self.is_cosine = config.feature_distillation_function == COSINE
        self.compared_layers = compared_layers(config)

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = self.share(grouped[self.group])  # (B, D)
        if not self.training:
            return ModelOutput({LIGHT: self.light_output(self.light(x))})
        light, booster = self.light.hidden(x.detach()), self.booster.hidden(x)
        logits = {LIGHT: self.light_output(light[-1]), BOOSTER: self.booster_output(booster[-1])}
        losses = {HINT: (logits[LIGHT] - logits[BOOSTER].detach()).square().mean(1)}
        for i, j in self.compared_layers:
            losses[similarity_name((i, j))] = self._compare(light[i], booster[j].detach())
        return ModelOutput(logits, losses)

    def _compare(self, h: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Cosine or squared distance of (B, D) and (B, D), (B,)."""
        return (F.normalize(h) * F.normalize(b) if self.is_cosine else (h - b).square()).sum(1)
