"""DIENEncoder: interests extracted from the elements and evolved towards the query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tzrec.config.kwargs import kwargs, shortest
from tzrec.embedding.assemble import SequenceTensors
from tzrec.embedding.encoders.base import TrainedEncoder
from tzrec.modules.dien import DIEN, NextElementLoss, Steps
from tzrec.modules.mlp import MLP
from tzrec.protos import seq_encoder_pb2 as pb
from tzrec.tables.layout import SequenceGroup

_LOSS = "dien_aux_loss"
_AUTHORS_MLP: dict[str, Any] = {"hidden_units": [100, 50], "activation": "nn.Sigmoid"}


class DIENEncoder(TrainedEncoder):
    """Two recurrences with attention between them (Zhou et al., AAAI 2019), and the loss of the next element."""

    def __init__(self, config: pb.DIENEncoder, group: SequenceGroup) -> None:
        super().__init__(config, group)
        self._negatives = config.negative_input
        self._weight = shortest(config.auxiliary_weight)
        self.loss = None if config.negatives == "none" else NextElementLoss(self._scorer(config))

    def build(self, config: pb.DIENEncoder, query_dim: int, dim: int) -> DIEN:
        return DIEN(query_dim, dim, config.hidden_dim or dim, config.newest_first)

    def encode_with_losses(self, groups: Mapping[str, SequenceTensors]) -> tuple[Tensor, dict[str, Tensor]]:
        if self.loss is None:
            return self(groups[self.input]), {}
        query, sequence = groups[self.input].query, self.limited(groups[self.input])
        steps = Steps.of(sequence, self.encode.newest_first)
        with torch.autocast(sequence.values.device.type, enabled=False):
            states = self.encode.extract(sequence, steps)
            encoded = self.encode.evolve(query, states, sequence, steps)
        negatives = self.limited(groups[self._negatives]) if self._negatives else None
        return encoded, {_LOSS: self._weight * self.loss(states, sequence, steps, negatives)}

    def _scorer(self, config: pb.DIENEncoder) -> nn.Module | None:
        """Score of a state and an element; None for their dot product."""
        if config.auxiliary_score == "dot":
            return None
        dim = sum(entry.dim for entry in self.group.elements)
        mlp = kwargs(config.auxiliary_mlp) if config.HasField("auxiliary_mlp") else _AUTHORS_MLP
        hidden = MLP(self.out_dim + dim, **mlp)
        return nn.Sequential(hidden, nn.Linear(hidden.out_dim, 1))
