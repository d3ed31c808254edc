"""ETAEncoder: attention over the elements nearest to the candidate."""

from __future__ import annotations

from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.eta import ETA
from tzrec.protos import seq_encoder_pb2 as pb


class ETAEncoder(JaggedEncoder):
    """Retrieval of elements by hash codes, and attention over them (Chen et al., arXiv 2108.04468)."""

    def build(self, config: pb.ETAEncoder, query_dim: int, dim: int) -> ETA:
        return ETA(query_dim, dim, config.top_k, config.num_bits, config.multihead_attn_dim, config.num_heads)
