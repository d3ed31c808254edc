"""MIND: several interest vectors per user."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, ModelOutput
from tzrec.models.two_towers import ITEM, USER, TwoTowers
from tzrec.modules.capsules import Capsules, LinearAfterMLP, over_rows
from tzrec.modules.match_tower import unit_vectors
from tzrec.modules.mlp import MLP
from tzrec.protos.simi_pb2 import COSINE


class InterestTower(nn.Module):
    """Interest vectors: capsules of the history, each with the vector of the user, and an MLP.

    Args:
        config: the model.
        dims: widths of the groups.
    """

    def __init__(self, config: Any, dims: Dims) -> None:
        super().__init__()
        tower = config.user_tower
        self.user_mlp = LinearAfterMLP(dims[tower.input], kwargs(tower.user_mlp), bias=True)
        _, width = dims.sequences[tower.history_input]
        has_mlp = tower.HasField("hist_seq_mlp")
        self.history_mlp = LinearAfterMLP(width, kwargs(tower.hist_seq_mlp), bias=False) if has_mlp else None
        self.capsules = Capsules(self.history_mlp.out_dim if self.history_mlp else width, kwargs(tower.capsule_config))
        self.concat_mlp = MLP(self.capsules.out_dim + self.user_mlp.out_dim, **kwargs(tower.concat_mlp))
        out_dim = config.output_dim
        self.output = nn.Linear(self.concat_mlp.out_dim, out_dim, bias=False) if out_dim > 0 else None
        self._is_normalized = config.similarity == COSINE

    def forward(self, user: Tensor, history: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the interests of rows with features `(B, D_user)` and elements `(B, L, D)`, `(B,)` of them.

        Returns:
            interests `(B, K, D)`, exactly zero for those that a row does not have, and bool `(B, K)`: True for others.
        """
        elements = history if self.history_mlp is None else self.history_mlp(history)
        capsules, is_capsule = self.capsules(elements, lengths)
        mask = is_capsule.unsqueeze(2)
        profile = self.user_mlp(user).unsqueeze(1).expand(-1, self.capsules.max_k, -1)  # (B, K, D)
        interests = over_rows(self.concat_mlp, torch.cat([capsules, profile.to(capsules.dtype)], 2) * mask) * mask
        if self.output is not None:
            interests = self.output(interests)
        return (unit_vectors(interests) if self._is_normalized else interests), is_capsule


class MIND(TwoTowers):
    """Interests of a user; in training and evaluation, attention by the item of the row makes one vector of them.

    The vector of a user is `sum_k w_k u_k`, `w = softmax_k(simi_pow * u_k . item)` over the interests that the row has.
    The exported user tower returns all interests.

    Li et al., Multi-Interest Network with Dynamic Routing for Recommendation at Tmall, CIKM 2019, sections 4.3 to 4.5;
    see `Capsules` for the two kinds of routing.
    """

    def build(self, config: Any, dims: Dims, heads: Heads) -> None:
        super().build(config, dims, heads)
        self._power = config.simi_pow

    def build_user_tower(self, config: Any, dims: Dims) -> nn.Module:
        return InterestTower(config, dims)

    def forward(self, grouped: Grouped) -> ModelOutput:
        interests, is_capsule = self._interests(grouped)
        items = self.item_vectors(grouped)[ITEM]
        attended = label_aware_attention(interests, is_capsule, items[: len(interests)], self._power)
        return ModelOutput({}, embeddings={USER: attended, ITEM: items})

    def user_vectors(self, grouped: Grouped) -> dict[str, Tensor]:
        return {USER: self._interests(grouped)[0]}

    def _interests(self, grouped: Grouped) -> tuple[Tensor, Tensor]:
        user, history = self.user_groups
        return self.user_tower(grouped[user], grouped[f"{history}.sequence"], grouped[f"{history}.sequence_length"])


def label_aware_attention(interests: Tensor, is_capsule: Tensor, items: Tensor, power: float) -> Tensor:
    """Weighted sum of interests `(B, K, D)`, of which `(B, K)` exist, by their products with `(B, D)` -> `(B, D)`."""
    wide = torch.promote_types(interests.dtype, torch.float32)
    with torch.autocast(interests.device.type, enabled=False):
        interests, items = interests.to(wide), items.to(wide)
        products = torch.bmm(interests, items.unsqueeze(2)).squeeze(2) * power  # (B, K)
        weights = products.masked_fill(~is_capsule, -math.inf).softmax(1)
        return torch.bmm(weights.unsqueeze(1), interests).squeeze(1)
