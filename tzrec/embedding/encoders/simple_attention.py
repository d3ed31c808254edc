"""SimpleAttention: elements weighted by their dot product with the query."""

from __future__ import annotations

from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.sequence_pooling import DotAttention
from tzrec.protos import seq_encoder_pb2 as pb


class SimpleAttention(JaggedEncoder):
    """Attention with dot products as scores, which have no weights."""

    def build(self, config: pb.SimpleAttention, query_dim: int, dim: int) -> DotAttention:
        return DotAttention(dim)
