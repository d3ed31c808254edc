"""Requirements of SelfAttentionEncoder: no query, and a width that its heads divide."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.query import QueryWidth
from tzrec.protos.seq_encoder_pb2 import SelfAttentionEncoder

QUERY = QueryWidth.UNUSED


def check(checker: Checker, path: str, message: SelfAttentionEncoder) -> None:
    """Check the width of the attention."""
    width, heads = message.multihead_attn_dim, message.num_heads
    if width >= 1 and heads >= 1 and width % heads:
        checker.error(f"{path}.multihead_attn_dim", f"{width} is not a multiple of num_heads {heads}")
