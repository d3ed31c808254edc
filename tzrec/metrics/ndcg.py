"""NDCG: normalized discounted cumulative gain of groups."""

from __future__ import annotations

import torch

from tzrec.metrics.base import positive_probs
from tzrec.metrics.grouped import GroupedMetric, Ranking


class NDCG(GroupedMetric):
    """Mean over groups of `DCG / ideal DCG`, `DCG = sum_r label_r / log2(1 + r)` over ranks r by falling score.

    Jarvelin, Kekalainen, "Cumulated Gain-Based Evaluation of IR Techniques", TOIS 2002. Rows of equal score share the
    mean discount of their ranks (McSherry, Najork, ECIR 2008), as in scikit-learn. Groups whose labels are all 0 are
    ignored; nan if no group has another.

    Args:
        num_class: classes of the task, 1 or 2.
        grouping_key: sparse feature whose first id is the group of a row.
        top_k: ranks that count; 0 for all.
    """

    def __init__(self, num_class: int, grouping_key: str, top_k: int = 0) -> None:
        self.top_k = top_k
        super().__init__(grouping_key, positive_probs(num_class))

    def compute_rows(self, group: torch.Tensor, score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        gains, best = self._dcg(group, score, label.double()), self._dcg(group, label, label.double())  # (G,)
        return (gains / best)[best > 0].mean()

    def _dcg(self, group: torch.Tensor, score: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        ranking = Ranking.of(group, -score)
        size = ranking.per_tie(torch.ones_like(gain))  # (T,)
        first = ranking.before(size)
        up_to = self._discounts(int((first + size).max()))
        discount = (up_to[(first + size).long()] - up_to[first.long()]) / size  # (T,)
        return ranking.per_group(ranking.per_tie(gain) * discount)

    def _discounts(self, ranks: int) -> torch.Tensor:
        """Sums of the discounts of the first 0, 1, ... ranks, `(ranks + 1,)`."""
        rank = torch.arange(1, ranks + 1, dtype=torch.float64)
        discount = 1 / torch.log2(1 + rank)
        if self.top_k:
            discount[self.top_k :] = 0
        return torch.cat([discount.new_zeros(1), discount.cumsum(0)])
