"""SelfAttention: self-attention between the elements of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.sequence_pooling import element_mask
from tzrec.modules.transformer import masked_attention


class SelfAttention(nn.Module):
    """`mean_t MultiHead(s W_q, s W_k, s W_v)_t` over the elements of a row, zero for a row without elements.

    Vaswani et al., Attention Is All You Need, NIPS 2017, section 3.2.2; the projections of each head follow W_q, W_k
    and W_v.

    Args:
        dim: width of an element.
        attn_dim: width of the attention.
        heads: number of heads, a divisor of attn_dim.
        dropout: dropout ratio of the attention weights.
    """

    def __init__(self, dim: int, attn_dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.out_dim = attn_dim
        self.query, self.key, self.value = (nn.Linear(dim, attn_dim) for _ in range(3))
        self.attention = nn.MultiheadAttention(attn_dim, heads, dropout, batch_first=True)

    def forward(self, query: Tensor | None, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(unused), (B, L, dim), (B,) -> (B, attn_dim)"""
        mask = element_mask(sequence, lengths)
        mixed = self._attend(self.query(sequence), self.key(sequence), self.value(sequence), mask)
        sums = torch.bmm(mask.to(mixed.dtype).unsqueeze(1), mixed).squeeze(1)
        return sums / mask.sum(1, keepdim=True).clamp(min=1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, element_mask: Tensor) -> Tensor:
        """Multi-head attention, (B, L, attn_dim) each, (B, L) -> (B, L, attn_dim).

        The forward pass of nn.MultiheadAttention has paths that cannot be exported and returns NaN for rows without
        elements.
        """
        inner = self.attention
        weights, biases = inner.in_proj_weight.chunk(3), inner.in_proj_bias.chunk(3)
        q, k, v = (
            functional.linear(x, weight, bias).unflatten(2, (inner.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )  # (B, heads, L, attn_dim / heads) each
        mixed = masked_attention(q, k, v, element_mask, inner.dropout if self.training else 0.0)
        return inner.out_proj(mixed)
