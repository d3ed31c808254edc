"""SequenceEncoder: from a sequence group to one vector per row."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tzrec.embedding.assemble import SequenceTensors


class SequenceEncoder(nn.Module):
    """An encoder of a DEEP group. Subclasses live in the file their oneof member names.

    Attributes:
        input: name of the sequence group that it reads.
        out_dim: width of what it yields.

    Args:
        config: its own message.
        query_dim: width of the group's features of the row, 0 without any.
        dim: width of a step.
    """

    def __init__(self, config: Any, query_dim: int, dim: int) -> None:
        super().__init__()
        self.input: str = config.input
        self._limit: int = getattr(config, "max_seq_length", 0)
        self.encode = self.build(config, query_dim, dim)
        self.out_dim: int = self.encode.out_dim

    def build(self, config: Any, query_dim: int, dim: int) -> Any:
        """Make the module that turns a query `(B, query_dim)`, steps `(B, L, dim)` and lengths `(B,)` into
        `(B, out_dim)`."""
        raise NotImplementedError

    def forward(self, group: SequenceTensors) -> Tensor:
        """(B, out_dim), from the first steps only where the config says so"""
        # Steps behind the limit do not exist, rather than being cut off: torch.export could not tell which is shorter.
        lengths = group.lengths.clamp(max=self._limit) if self._limit else group.lengths
        encoded: Tensor = self.encode(group.query, group.sequence, lengths)
        return encoded
