"""SDIMEncoder: sums of the elements that share hash signatures with the candidate."""

from __future__ import annotations

from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.sdim import SDIM
from tzrec.protos import seq_encoder_pb2 as pb


class SDIMEncoder(JaggedEncoder):
    """Sampling-based attention without weights (Cao et al., CIKM 2022)."""

    def build(self, config: pb.SDIMEncoder, query_dim: int, dim: int) -> SDIM:
        return SDIM(query_dim, dim, config.num_bits, config.bits_per_signature)
