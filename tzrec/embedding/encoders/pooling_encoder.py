"""PoolingEncoder: sum or mean of the elements."""

from __future__ import annotations

from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.sequence_pooling import Pooling
from tzrec.protos import seq_encoder_pb2 as pb


class PoolingEncoder(JaggedEncoder):
    """Sum or mean pooling."""

    def build(self, config: pb.PoolingEncoder, query_dim: int, dim: int) -> Pooling:
        return Pooling(dim, config.pooling_type == "mean")
