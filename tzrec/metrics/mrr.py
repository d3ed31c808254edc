"""MRR: mean reciprocal rank of the first positive row of groups."""

from __future__ import annotations

import torch

from tzrec.metrics.base import positive_probs
from tzrec.metrics.grouped import GroupedMetric, Ranking


class MRR(GroupedMetric):
    """Mean over groups of `1 / rank` of the first positive row by falling score.

    In a tie of t rows, p of them positive, with a rows of higher score, the first positive has rank
    `a + (t + 1) / (p + 1)`, its mean over all orders of the tie. Labels above 0 are positive; groups without any are
    ignored; nan if no group has one.

    Args:
        num_class: classes of the task, 1 or 2.
        grouping_key: sparse feature whose first id is the group of a row.
        top_k: a first positive below this rank counts as 0; 0 for no limit.
    """

    def __init__(self, num_class: int, grouping_key: str, top_k: int = 0) -> None:
        self.top_k = top_k
        super().__init__(grouping_key, positive_probs(num_class))

    def compute_rows(self, group: torch.Tensor, score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        ranking = Ranking.of(group, -score)
        size, positive = ranking.per_tie(torch.ones(len(group))), ranking.per_tie((label > 0).double())  # (T,)
        rank = ranking.before(size) + (size + 1) / (positive + 1)
        rank = torch.where(positive > 0, rank, torch.inf)
        groups = int(ranking.group[-1]) + 1
        first = torch.full((groups,), torch.inf).double().scatter_reduce(0, ranking.group_of_tie, rank, "amin")  # (G,)
        reciprocal = torch.where(first <= self.top_k, 1 / first, 0.0) if self.top_k else 1 / first
        return reciprocal[first.isfinite()].mean()
