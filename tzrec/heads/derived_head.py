"""DerivedHead: a head that is predicted, but learned through other heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tzrec.heads.head import Head, Predictions
from tzrec.losses.base import Loss


@dataclass(frozen=True)
class DerivedHead(Head):
    """A head without losses and metrics. A model derives its logits from the towers of other heads.

    Attributes:
        source_losses: losses that define its outputs.
    """

    source_losses: Mapping[str, Loss] = field(default_factory=dict)

    @property
    def has_tower(self) -> bool:
        return False

    def outputs(self, logits: torch.Tensor) -> Predictions:
        return {key: value for loss in self.source_losses.values() for key, value in loss.outputs(logits).items()}
