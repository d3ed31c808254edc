"""SIMEncoder: attention over the elements with the category of the candidate."""

from __future__ import annotations

from torch import Tensor

from tzrec.embedding.assemble import SequenceTensors
from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.sim import SIM
from tzrec.protos import seq_encoder_pb2 as pb


class SIMEncoder(JaggedEncoder):
    """Search-based interest model with hard search (Pi et al., CIKM 2020)."""

    def build(self, config: pb.SIMEncoder, query_dim: int, dim: int) -> SIM:
        self.category, self.sequence_category = config.category, config.sequence_category
        gap_column = self.first_column(config.time_gap) if config.time_gap else None
        sizes = config.max_matches, config.attn_dim, config.num_heads
        return SIM(query_dim, dim, *sizes, gap_column, config.num_time_gaps, config.time_gap_dim)

    def forward(self, group: SequenceTensors) -> Tensor:
        sequence, candidate = group.sequence, group.sequence.of_row(group.ids[self.category])  # (T,)
        is_match = (group.ids[self.sequence_category] == candidate) & (candidate >= 0)
        if self._limit:
            is_match = is_match & (sequence.positions < self._limit)
        encoded: Tensor = self.encode(group.query, sequence, is_match)
        return encoded
