"""DINEncoder: elements weighted by their match with the query."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.din import DIN
from tzrec.protos import seq_encoder_pb2 as pb


class DINEncoder(JaggedEncoder):
    """Attention with scores from an MLP (Zhou et al., KDD 2018)."""

    def build(self, config: pb.DINEncoder, query_dim: int, dim: int) -> DIN:
        return DIN(query_dim, dim, kwargs(config.attn_mlp))
