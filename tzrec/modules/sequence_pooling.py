"""Pooling of padded sequences: masks and weighted sums of their elements."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def element_mask(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Bool `(B, L)`: True for elements of a sequence `(B, L, D)`, False for padding; lengths `(B,)` may exceed L."""
    return torch.arange(sequence.shape[1], device=sequence.device) < lengths.unsqueeze(1)


def attention_pooling(scores: Tensor, sequence: Tensor, lengths: Tensor) -> Tensor:
    """`sum_t softmax_t(score_t) s_t` over the elements of a row, zero for a row without elements.

    scores `(B, L)`, sequence `(B, L, D)`, lengths `(B,)` -> `(B, D)`
    """
    mask = element_mask(sequence, lengths)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    masked = torch.finfo(scores.dtype).min  # finite: with infinity rows without elements would become NaN
    weights = scores.masked_fill(~mask, masked).softmax(1) * mask  # (B, L)
    return torch.bmm(weights.to(sequence.dtype).unsqueeze(1), sequence).squeeze(1)


class Pooling(nn.Module):
    """Sum or mean of the elements of a row, zero for a row without elements."""

    def __init__(self, dim: int, mean: bool) -> None:
        super().__init__()
        self.out_dim, self.mean = dim, mean

    def forward(self, query: Tensor | None, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(unused), (B, L, dim), (B,) -> (B, dim)"""
        mask = element_mask(sequence, lengths)
        sums = torch.bmm(mask.to(sequence.dtype).unsqueeze(1), sequence).squeeze(1)
        return sums / mask.sum(1, keepdim=True).clamp(min=1) if self.mean else sums


class DotAttention(nn.Module):
    """`sum_t softmax_t(q . s_t) s_t` over the elements of a row.

    Luong, Pham, Manning: Effective Approaches to Attention-based Neural Machine Translation, EMNLP 2015, section 3.1,
    the score "dot".
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim

    def forward(self, query: Tensor, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(B, dim), (B, L, dim), (B,) -> (B, dim)"""
        scores = torch.bmm(sequence, query.to(sequence.dtype).unsqueeze(2)).squeeze(2)  # (B, L)
        return attention_pooling(scores, sequence, lengths)
