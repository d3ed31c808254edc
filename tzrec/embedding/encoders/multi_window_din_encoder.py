"""MultiWindowDINEncoder: elements of each time window weighted by their match with the query."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.din import MultiWindowDIN
from tzrec.protos import seq_encoder_pb2 as pb


class MultiWindowDINEncoder(JaggedEncoder):
    """Attention within windows of the elements, concatenated with the query (Zhu et al., KDD 2018)."""

    def build(self, config: pb.MultiWindowDINEncoder, query_dim: int, dim: int) -> MultiWindowDIN:
        return MultiWindowDIN(query_dim, dim, config.windows_len, kwargs(config.attn_mlp))
