"""ETA: attention over the elements of a long sequence that are nearest to the candidate by hashing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.random_codes import RandomCodes
from tzrec.modules.target_attention import TargetAttention


class ETA(nn.Module):
    """Target attention over the K elements of each row with the smallest Hamming distance to the query.

    Chen et al., End-to-End User Behavior Retrieval in Click-Through Rate Prediction Model, arXiv 2108.04468. Of
    elements with the same distance, the first are kept. Codes have no gradient.

    Args:
        query_dim: width of the query; it is compared with as many columns of the elements, from the first.
        dim: width of an element.
        top_k: K; a row with fewer elements keeps all of them.
        num_bits: number of bits of a code.
        attn_dim: width of all heads together.
        num_heads: number of heads, a divisor of attn_dim.
    """

    def __init__(self, query_dim: int, dim: int, top_k: int, num_bits: int, attn_dim: int, num_heads: int) -> None:
        super().__init__()
        self.top_k, self.num_bits = top_k, num_bits
        self.codes = RandomCodes(query_dim, num_bits)
        self.attention = TargetAttention(query_dim, dim, attn_dim, num_heads)
        self.out_dim = attn_dim

    def forward(self, query: Tensor, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, attn_dim)"""
        distances = (sequence.of_row(self.codes(query)) != self.codes(sequence.values)).sum(1)  # (T,)
        nearest = self._nearest(distances, sequence)
        attended: Tensor = self.attention(query, sequence.select(nearest))
        return attended

    def _nearest(self, distances: Tensor, sequence: JaggedSequence) -> Tensor:
        """Mask of the K elements of each row with the smallest distances, bool `(T,)`.

        Distances are counted instead of sorted: below the K-th smallest one all elements are kept, and of those that
        have it the first.
        """
        num_rows, size = sequence.lengths.shape[0], self.num_bits + 1
        counts = torch.zeros(num_rows * size, dtype=torch.int64, device=distances.device)
        counts = counts.index_add(0, sequence.rows * size + distances, torch.ones_like(distances))
        totals = counts.view(num_rows, size).cumsum(1)  # elements up to a distance, (B, size)
        is_full = totals >= self.top_k
        threshold = (~is_full).sum(1)  # the K-th smallest distance; size where a row has fewer elements, (B,)
        remaining = self.top_k - (totals * ~is_full).amax(1)  # elements to keep at the threshold, (B,)
        limit = sequence.of_row(threshold)
        is_tied = distances == limit
        return (distances < limit) | (is_tied & (sequence.rank(is_tied) < sequence.of_row(remaining)))
