"""SelfAttention: the steps of a sequence attend to each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.sequence_pooling import existing


class SelfAttention(nn.Module):
    """`mean_t MultiHead(s W_q, s W_k, s W_v)_t` over the steps that exist, zero for a row without steps.

    Vaswani et al., Attention Is All You Need, NIPS 2017, section 3.2.2; its own projections of each head follow
    W_q, W_k and W_v.

    Args:
        dim: width of a step.
        attn_dim: width of the attention.
        heads: a divisor of attn_dim.
        dropout: of the attention weights.
    """

    def __init__(self, dim: int, attn_dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.out_dim = attn_dim
        self.query, self.key, self.value = (nn.Linear(dim, attn_dim) for _ in range(3))
        self.attention = nn.MultiheadAttention(attn_dim, heads, dropout, batch_first=True)

    def forward(self, query: Tensor | None, sequence: Tensor, lengths: Tensor) -> Tensor:
        """no matter, (B, L, dim), (B,) -> (B, attn_dim)"""
        there = existing(sequence, lengths)
        mixed = self._mix(self.query(sequence), self.key(sequence), self.value(sequence), there)
        sums = torch.bmm(there.to(mixed.dtype).unsqueeze(1), mixed).squeeze(1)
        return sums / there.sum(1, keepdim=True).clamp(min=1)

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, there: Tensor) -> Tensor:
        """What nn.MultiheadAttention does, written out: that one has paths which cannot be exported, and yields NaN
        for rows without steps. (B, L, attn_dim) each, (B, L) -> (B, L, attn_dim)"""
        inner = self.attention
        weights, biases = inner.in_proj_weight.chunk(3), inner.in_proj_bias.chunk(3)
        q, k, v = (
            functional.linear(x, weight, bias).unflatten(2, (inner.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )  # (B, heads, L, attn_dim / heads) each
        never = torch.finfo(q.dtype).min / 2  # no infinity: rows without steps would become NaN
        mask = torch.zeros_like(there, dtype=q.dtype).masked_fill(~there, never)[:, None, None, :]
        dropout = inner.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return inner.out_proj(mixed.transpose(1, 2).flatten(2))
