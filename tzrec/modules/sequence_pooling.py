"""Steps of padded sequences: which of them exist, and weighted sums over them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_NEVER = -(2.0**31)
"""Score of a step that does not exist: its share is 0, unless no step of the row exists."""


def existing(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Whether each step of `(B, L, D)` exists, bool `(B, L)`; lengths `(B,)` may exceed L."""
    return torch.arange(sequence.shape[1], device=sequence.device) < lengths.unsqueeze(1)


def attend(scores: Tensor, sequence: Tensor, lengths: Tensor) -> Tensor:
    """`sum_t softmax_t(score_t) s_t` over the steps that exist, zero for a row without steps.

    scores `(B, L)`, sequence `(B, L, D)`, lengths `(B,)` -> `(B, D)`
    """
    there = existing(sequence, lengths)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))  # half precision knows no such number
    shares = scores.masked_fill(~there, _NEVER).softmax(1) * there  # (B, L)
    return torch.bmm(shares.to(sequence.dtype).unsqueeze(1), sequence).squeeze(1)


class Pooling(nn.Module):
    """Sum or mean of the steps that exist, zero for a row without steps."""

    def __init__(self, dim: int, mean: bool) -> None:
        super().__init__()
        self.out_dim, self.mean = dim, mean

    def forward(self, query: Tensor | None, sequence: Tensor, lengths: Tensor) -> Tensor:
        """no matter, (B, L, dim), (B,) -> (B, dim)"""
        there = existing(sequence, lengths)
        sums = torch.bmm(there.to(sequence.dtype).unsqueeze(1), sequence).squeeze(1)
        return sums / there.sum(1, keepdim=True).clamp(min=1) if self.mean else sums


class DotAttention(nn.Module):
    """`sum_t softmax_t(q . s_t) s_t` over the steps that exist.

    Luong, Pham, Manning: Effective Approaches to Attention-based Neural Machine Translation, EMNLP 2015, section 3.1,
    the score "dot".
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim

    def forward(self, query: Tensor, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(B, dim), (B, L, dim), (B,) -> (B, dim)"""
        scores = torch.bmm(sequence, query.to(sequence.dtype).unsqueeze(2)).squeeze(2)  # (B, L)
        return attend(scores, sequence, lengths)
