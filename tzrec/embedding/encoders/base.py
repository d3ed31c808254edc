"""SequenceEncoder: base class of encoders that reduce a sequence group to one vector per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tzrec.embedding.assemble import SequenceTensors
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.tables.layout import SequenceGroup, element_limit


class SequenceEncoder(nn.Module):
    """Encoder of a DEEP group. Subclasses live in the module named after their oneof member.

    This class pads the elements. Most encoders are a `JaggedEncoder`, whose cost does not grow with padding.

    Attributes:
        input: name of the sequence group that it reads.
        group: the features of that group.
        out_dim: width of its output.

    Args:
        config: its own message.
        group: of its input.
    """

    def __init__(self, config: Any, group: SequenceGroup) -> None:
        super().__init__()
        self.input: str = config.input
        self.group = group
        limit = element_limit(config)
        self._limit = limit if limit != group.limit else 0  # the elements of the group end there already
        query_dim, dim = sum(entry.dim for entry in group.query), sum(entry.dim for entry in group.elements)
        self.encode = self.build(config, query_dim, dim)
        self.out_dim: int = self.encode.out_dim

    def build(self, config: Any, query_dim: int, dim: int) -> Any:
        """Build the module: query `(B, query_dim)`, elements `(B, L, dim)`, lengths `(B,)` -> `(B, out_dim)`.

        Args:
            config: its own message.
            query_dim: width of the group's features of the row, 0 without any.
            dim: width of an element.
        """
        raise NotImplementedError

    def first_column(self, feature: str) -> int:
        """First column of a feature of the elements."""
        index = [entry.feature for entry in self.group.elements].index(feature)
        return sum(entry.dim for entry in self.group.elements[:index])

    def forward(self, group: SequenceTensors) -> Tensor:
        """Encode a group, `(B, out_dim)`; elements after `max_seq_length` are ignored."""
        padded, lengths = group.sequence.padded(group.size), group.sequence.lengths
        # The lengths are clamped instead of slicing the elements: torch.export cannot determine which is shorter.
        encoded: Tensor = self.encode(group.query, padded, lengths.clamp(max=self._limit) if self._limit else lengths)
        return encoded


class JaggedEncoder(SequenceEncoder):
    """Encoder whose module reads a JaggedSequence; its requirements have the constant IS_JAGGED.

    Its time and memory are proportional to the number of elements, not to the longest row.
    """

    def forward(self, group: SequenceTensors) -> Tensor:
        encoded: Tensor = self.encode(group.query, self.limited(group))
        return encoded

    def limited(self, group: SequenceTensors) -> JaggedSequence:
        """The elements of a group without those after `max_seq_length`."""
        return group.sequence.first(self._limit) if self._limit else group.sequence


class TrainedEncoder(JaggedEncoder):
    """Encoder that has losses of its own in training."""

    def encode_with_losses(self, groups: Mapping[str, SequenceTensors]) -> tuple[Tensor, dict[str, Tensor]]:
        """Encode in training: sequence groups by name -> `(B, out_dim)`, and losses by name, 0-dimensional."""
        raise NotImplementedError
