"""BSTEncoder: a transformer over the elements and the candidate."""

from __future__ import annotations

from tzrec.config.kwargs import kwargs
from tzrec.embedding.encoders.base import JaggedEncoder
from tzrec.embedding.encoders.requirements.bst_encoder import num_elements
from tzrec.modules.bst import BST, BSTShape
from tzrec.modules.transformer import TransformerBlock
from tzrec.protos import seq_encoder_pb2 as pb


class BSTEncoder(JaggedEncoder):
    """Behavior sequence transformer (Chen et al., DLP-KDD 2019)."""

    def build(self, config: pb.BSTEncoder, query_dim: int, dim: int) -> BST:
        fields, width = kwargs(config), config.hidden_size or dim
        dropout = fields["hidden_dropout_prob"]
        shape = BSTShape(
            num_elements(config),
            config.target_item_position,
            width,
            config.use_position_embeddings,
            config.normalize_tokens,
            config.output_all_token_embeddings,
        )
        inner = config.intermediate_size or width
        options = config.hidden_act, dropout, fields["attention_probs_dropout_prob"]
        blocks = [
            TransformerBlock(width, config.num_attention_heads, inner, *options)
            for _ in range(config.num_hidden_layers)
        ]
        return BST(query_dim, dim, shape, blocks, dropout, fields["initializer_range"])
