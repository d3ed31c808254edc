"""SIM: attention over the elements of a long sequence that have the category of the candidate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.target_attention import head_scores


class TimeGapEmbedding(nn.Module):
    """Embedding of a time gap by its order of magnitude: bucket k holds gaps from 2^k - 1 to 2^(k+1) - 1.

    Args:
        num_buckets: number of buckets; the last one holds all longer gaps.
        dim: width of the embedding.
    """

    def __init__(self, num_buckets: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_buckets, dim)

    def forward(self, gaps: Tensor) -> Tensor:
        """(T,) -> (T, dim)"""
        powers = torch.arange(1, self.table.num_embeddings, device=gaps.device)
        ends = (torch.bitwise_left_shift(torch.ones_like(powers), powers) - 1).to(gaps.dtype)
        embedded: Tensor = self.table(torch.bucketize(gaps.contiguous(), ends, right=True))
        return embedded


class SIM(nn.Module):
    """`[sum_i softmax_i(W_b,h z_i . W_a,h q) z_i for heads h]` over the first K matching elements, zero without any.

    Pi et al., Search-based User Interest Modeling with Lifelong Sequential Behavior Data for Click-Through Rate
    Prediction, CIKM 2020, sections 3.2 (hard search) and 3.3.

    Args:
        query_dim: width of the query q.
        dim: width of an element.
        max_matches: K.
        attn_dim: width of a head.
        num_heads: number of heads.
        gap_column: column of the elements with the time gap, which z_i has as an embedding at its end; None for none.
        num_gaps: number of buckets of time gaps.
        gap_dim: width of their embedding.
    """

    def __init__(
        self,
        query_dim: int,
        dim: int,
        max_matches: int,
        attn_dim: int,
        num_heads: int,
        gap_column: int | None = None,
        num_gaps: int = 32,
        gap_dim: int = 8,
    ) -> None:
        super().__init__()
        self.max_matches, self.num_heads, self.gap_column = max_matches, num_heads, gap_column
        if gap_column is not None:
            self.gap = TimeGapEmbedding(num_gaps, gap_dim)
            dim += gap_dim - 1
        self.query = nn.Linear(query_dim, num_heads * attn_dim, bias=False)
        self.key = nn.Linear(dim, num_heads * attn_dim, bias=False)
        self.out_dim = num_heads * dim

    def forward(self, query: Tensor, sequence: JaggedSequence, is_match: Tensor) -> Tensor:
        """(B, query_dim), elements (T, dim), bool (T,) -> (B, out_dim)"""
        kept = sequence.select(is_match & (sequence.rank(is_match) < self.max_matches))
        z = kept.values
        if self.gap_column is not None:
            before, gaps, after = z.tensor_split((self.gap_column, self.gap_column + 1), 1)
            z = torch.cat([before, after, self.gap(gaps.squeeze(1))], 1)
        scores = head_scores(self.query(query), self.key(z), kept, self.num_heads)  # (K', H)
        return kept.attend(scores, z).flatten(1)
