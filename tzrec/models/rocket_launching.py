"""RocketLaunching: a small net that learns beside a large one, and goes on without it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks
from tzrec.heads.derived import Penalty, RootOfSum
from tzrec.models.base import Grouped, Logits, Model
from tzrec.modules.mlp import MLP
from tzrec.protos.models import general_rank_model_pb2 as pb
from tzrec.protos.simi_pb2 import COSINE

LIGHT, BOOSTER, HINT = "light", "booster", "hint_l2_loss"


class RocketLaunching(Model):
    """A light net and, in training, a booster net on the first feature group, over shared layers if wanted.

    Both have the losses of the task. The light net is drawn to the booster by `hint_l2_loss`, the mean squared
    difference of their logits, and with `feature_based_distillation` by a loss `similarity_i_j` for each of its hidden
    layers i and the first of the booster's layers j that is as wide: `-0.1 mean cos(h_i, b_j)`, or with EUCLID the root
    of `sum |h_i - b_j|^2` over the rows of a rank. The booster learns from labels alone, and so do, through it,
    embeddings and shared layers: the light net reads them as they are.

    Zhou et al., Rocket Launching: A Universal and Efficient Framework for Training Well-Performing Light Net,
    AAAI 2018.
    """

    def build(self, config: pb.RocketLaunching, dims: Dims, tasks: Tasks) -> None:
        self.group, in_dim = dims.only()
        self.share = MLP(in_dim, **kwargs(config).get("share_mlp", {"hidden_units": []}))
        self.booster = MLP(self.share.out_dim, **kwargs(config.booster_mlp))
        self.light = MLP(self.share.out_dim, **kwargs(config.light_mlp))
        tasks.teach(LIGHT, BOOSTER)
        self.booster_output = nn.Linear(self.booster.out_dim, tasks[BOOSTER].out_dim)
        self.light_output = nn.Linear(self.light.out_dim, tasks[LIGHT].out_dim)
        self.cosine = config.feature_distillation_function == COSINE
        self.pairs = _pairs(config) if config.feature_based_distillation else []
        tasks.penalise(HINT, Penalty(1.0))
        for i, j in self.pairs:
            tasks.penalise(f"similarity_{i}_{j}", Penalty(-0.1) if self.cosine else RootOfSum())

    def body(self, grouped: Grouped) -> Logits:
        x = self.share(grouped[self.group])  # (B, D)
        if not self.training:
            return {LIGHT: self.light_output(self.light(x))}
        light, booster = self.light.hidden(x.detach()), self.booster.hidden(x)
        logits = {LIGHT: self.light_output(light[-1]), BOOSTER: self.booster_output(booster[-1])}
        hint = (logits[LIGHT] - logits[BOOSTER].detach()).square().mean(1, keepdim=True)
        compared = {f"similarity_{i}_{j}": self._compared(light[i], booster[j].detach()) for i, j in self.pairs}
        return {**logits, HINT: hint, **compared}

    def _compared(self, h: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Cosine or squared distance of (B, D) and (B, D), (B, 1)."""
        return (F.normalize(h) * F.normalize(b) if self.cosine else (h - b).square()).sum(1, keepdim=True)


def _pairs(config: pb.RocketLaunching) -> list[tuple[int, int]]:
    """Each layer of the light net with the first of the booster's that is as wide, where there is one."""
    booster = list(config.booster_mlp.hidden_units)
    return [(i, booster.index(units)) for i, units in enumerate(config.light_mlp.hidden_units) if units in booster]
