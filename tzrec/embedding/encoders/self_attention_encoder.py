"""SelfAttentionEncoder: self-attention over the elements, averaged."""

from __future__ import annotations

from tzrec.embedding.encoders.base import SequenceEncoder
from tzrec.modules.self_attention import SelfAttention
from tzrec.protos import seq_encoder_pb2 as pb


class SelfAttentionEncoder(SequenceEncoder):
    """Multi-head attention of the elements to each other (Vaswani et al., NIPS 2017)."""

    def build(self, config: pb.SelfAttentionEncoder, query_dim: int, dim: int) -> SelfAttention:
        return SelfAttention(dim, config.multihead_attn_dim, config.num_heads, config.dropout)
