"""TransActEncoder: a transformer over recent actions, each beside the candidate."""

from __future__ import annotations

from tzrec.config.kwargs import shortest
from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.modules.transact import TransAct, token_dim
from tzrec.modules.transformer import TransformerBlock
from tzrec.protos import seq_encoder_pb2 as pb


class TransActEncoder(JaggedEncoder):
    """Recent actions beside the candidate (Xia et al., KDD 2023)."""

    def build(self, config: pb.TransActEncoder, query_dim: int, dim: int) -> TransAct:
        gap_column = self.first_column(config.time_gap) if config.time_gap else None
        width, dropout = token_dim(query_dim, dim, gap_column is not None), shortest(config.dropout)
        options = config.num_heads, config.intermediate_size, "nn.ReLU", dropout, dropout, dropout
        blocks = [TransformerBlock(width, *options) for _ in range(config.num_layers)]
        latest = min(config.num_latest, config.max_seq_length)
        return TransAct(query_dim, dim, config.max_seq_length, latest, blocks, gap_column, config.max_window)
