"""Requirements of ETAEncoder: a width that its heads divide, no padding."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.protos.seq_encoder_pb2 import ETAEncoder

IS_JAGGED = True


def check(checker: Checker, path: str, message: ETAEncoder) -> None:
    """Check the width of the attention."""
    width, heads = message.multihead_attn_dim, message.num_heads
    if width >= 1 and heads >= 1 and width % heads:
        checker.error(f"{path}.multihead_attn_dim", f"{width} is not a multiple of num_heads {heads}")
