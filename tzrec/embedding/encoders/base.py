"""SequenceEncoder: base class of encoders that reduce a sequence group to one vector per row."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tzrec.embedding.assemble import SequenceTensors


class SequenceEncoder(nn.Module):
    """Encoder of a DEEP group. Subclasses live in the module named after their oneof member.

    Attributes:
        input: name of the sequence group that it reads.
        out_dim: width of its output.

    Args:
        config: its own message.
        query_dim: width of the group's features of the row, 0 without any.
        dim: width of an element.
    """

    def __init__(self, config: Any, query_dim: int, dim: int) -> None:
        super().__init__()
        self.input: str = config.input
        self._limit: int = getattr(config, "max_seq_length", 0)
        self.encode = self.build(config, query_dim, dim)
        self.out_dim: int = self.encode.out_dim

    def build(self, config: Any, query_dim: int, dim: int) -> Any:
        """Build the module: query `(B, query_dim)`, elements `(B, L, dim)`, lengths `(B,)` -> `(B, out_dim)`."""
        raise NotImplementedError

    def forward(self, group: SequenceTensors) -> Tensor:
        """Encode a group, `(B, out_dim)`; elements after `max_seq_length` are ignored."""
        # The lengths are clamped instead of slicing the elements: torch.export cannot determine which is shorter.
        lengths = group.lengths.clamp(max=self._limit) if self._limit else group.lengths
        encoded: Tensor = self.encode(group.query, group.sequence, lengths)
        return encoded
