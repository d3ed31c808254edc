"""Transformer blocks on padded sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tzrec.modules.activation import activation
from tzrec.modules.dropout import Dropout


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float = 0.0) -> Tensor:
    """Attend to the positions in a mask; the result is finite and without meaning where there is none.

    Args:
        query: `(B, heads, L, D)`, as are key and value.
        key: of each position.
        value: of each position.
        mask: bool `(B, L)`, True for positions that are attended to.
        dropout: ratio of the attention weights.

    Returns:
        `(B, L, heads * D)`.
    """
    masked = torch.finfo(query.dtype).min / 2  # finite: with infinity rows without elements would become NaN
    bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, masked)[:, None, None, :]
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


class TransformerBlock(nn.Module):
    """`x' = LN(x + MultiHead(x))`, `LN(x' + W_2 act(W_1 x' + b_1) + b_2)`, with dropout before both sums.

    Vaswani et al., Attention Is All You Need, NIPS 2017, sections 3.1 to 3.3.

    Args:
        dim: width of a position.
        num_heads: a divisor of dim.
        inner_dim: width between W_1 and W_2.
        activation_text: see `tzrec.modules.activation.activation`.
        dropout: ratio before the sums.
        attention_dropout: ratio of the attention weights.
        inner_dropout: ratio after the activation.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        inner_dim: int,
        activation_text: str,
        dropout: float,
        attention_dropout: float,
        inner_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._num_heads, self._attention_dropout = num_heads, attention_dropout
        self.query, self.key, self.value, self.mix = (nn.Linear(dim, dim) for _ in range(4))
        self.attention_norm, self.norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        active = activation(activation_text, inner_dim) or nn.Identity()
        self.forward_layers = nn.Sequential(
            nn.Linear(dim, inner_dim), active, Dropout(inner_dropout), nn.Linear(inner_dim, dim)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, dim), bool (B, L) -> (B, L, dim); the positions in the mask are attended to"""
        parts = (linear(x).unflatten(2, (self._num_heads, -1)) for linear in (self.query, self.key, self.value))
        q, k, v = (part.transpose(1, 2) for part in parts)  # (B, heads, L, D) each
        mixed = masked_attention(q, k, v, mask, self._attention_dropout if self.training else 0.0)
        x = self.attention_norm(x + self.dropout(self.mix(mixed)))
        out: Tensor = self.norm(x + self.dropout(self.forward_layers(x)))
        return out
