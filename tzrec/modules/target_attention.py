"""TargetAttention: attention of a candidate over the elements of a sequence, with scores from products."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tzrec.modules.jagged_sequence import JaggedSequence


class TargetAttention(nn.Module):
    """`W_o [sum_t softmax_t((W_q,h q) . (W_k,h s_t) / sqrt(d)) W_v,h s_t for heads h]`, zero for an empty row.

    Vaswani et al., Attention Is All You Need, NIPS 2017, section 3.2.2, with one query.

    Args:
        query_dim: width of the query.
        dim: width of an element.
        attn_dim: width of all heads together, and of the output.
        num_heads: number of heads, a divisor of attn_dim; d = attn_dim / num_heads.
    """

    def __init__(self, query_dim: int, dim: int, attn_dim: int, num_heads: int) -> None:
        super().__init__()
        self.out_dim, self.num_heads = attn_dim, num_heads
        self.query = nn.Linear(query_dim, attn_dim, bias=False)
        self.key, self.value = (nn.Linear(dim, attn_dim, bias=False) for _ in range(2))
        self.output = nn.Linear(attn_dim, attn_dim, bias=False)

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, attn_dim)"""
        scale = math.sqrt(self.out_dim // self.num_heads)
        scores = head_scores(self.query(query) / scale, self.key(sequence.values), sequence, self.num_heads)
        heads = sequence.attend(scores, self.value(sequence.values).unflatten(1, (self.num_heads, -1)))  # (B, H, d)
        attended: Tensor = self.output(heads.flatten(1))
        return attended


def head_scores(query: Tensor, key: Tensor, sequence: JaggedSequence, num_heads: int) -> Tensor:
    """Dot products of projected queries `(B, H * d)` and keys `(T, H * d)` in each head, `(T, H)`."""
    return (sequence.of_row(query) * key).unflatten(1, (num_heads, -1)).sum(2)
