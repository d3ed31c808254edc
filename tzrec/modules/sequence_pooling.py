"""Pooling of sequences without weights: sums, means and dot-product attention; the mask of padded ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tzrec.modules.jagged_sequence import JaggedSequence


def element_mask(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Bool `(B, L)`: True for elements of a sequence `(B, L, D)`, False for padding; lengths `(B,)` may exceed L."""
    return torch.arange(sequence.shape[1], device=sequence.device) < lengths.unsqueeze(1)


class Pooling(nn.Module):
    """Sum or mean of the elements of a row, zero for a row without elements."""

    def __init__(self, dim: int, mean: bool) -> None:
        super().__init__()
        self.out_dim, self.mean = dim, mean

    def forward(self, query: Tensor | None, sequence: JaggedSequence) -> Tensor:
        """(unused), elements (T, dim) -> (B, dim)"""
        sums = sequence.sum(sequence.values)
        return sums / sequence.lengths.clamp(min=1).unsqueeze(1) if self.mean else sums


class DotAttention(nn.Module):
    """`sum_t softmax_t(q . s_t) s_t` over the elements of a row.

    Luong, Pham, Manning: Effective Approaches to Attention-based Neural Machine Translation, EMNLP 2015, section 3.1,
    the score "dot".
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, dim), elements (T, dim) -> (B, dim)"""
        scores = (sequence.of_row(query) * sequence.values).sum(1, keepdim=True)  # (T, 1)
        return sequence.attend(scores, sequence.values).squeeze(1)
