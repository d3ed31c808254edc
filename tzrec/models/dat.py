"""DAT: two towers with augmented vectors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, ModelOutput
from tzrec.models.requirements.dat import ITEM_LOSS, USER_LOSS
from tzrec.models.two_towers import ITEM, USER, TwoTowers
from tzrec.modules.match_tower import unit_vectors


class DAT(TwoTowers):
    """Towers that also read an augmented vector, which learns to be the vector of the other tower.

    In training, the squared distance between the normalized augmented vector of a row and the vector of the other
    tower, a constant here, is the loss of the row: `amm_loss_u` and `amm_loss_i`, averaged over the rows.

    Yu et al., A Dual Augmented Two-tower Model for Online Large-scale Recommendation, DLP-KDD 2021, section 3.2.
    """

    def build(self, config: Any, dims: Dims, heads: Heads) -> None:
        super().build(config, dims, heads)
        self.user_augment, self.item_augment = config.user_tower.augment_input, config.item_tower.augment_input

    def forward(self, grouped: Grouped) -> ModelOutput:
        output = super().forward(grouped)
        if not self.training:
            return output
        user, items = output.embeddings[USER].detach(), output.embeddings[ITEM].detach()
        rows = len(user)
        losses = {
            USER_LOSS: _distances(grouped[self.user_augment], items[:rows]),
            ITEM_LOSS: _distances(grouped[self.item_augment][:rows], user),
        }
        return output._replace(auxiliary_losses=losses)


def _distances(augmented: Tensor, vectors: Tensor) -> Tensor:
    """(B, D), (B, D) -> (B,)"""
    return ((unit_vectors(augmented) - vectors) ** 2).sum(1)
