"""GroupedAUC: mean AUC of groups of rows, such as those of one user."""

from __future__ import annotations

import torch

from tzrec.metrics.base import positive_probs
from tzrec.metrics.grouped import GroupedMetric, Ranking


class GroupedAUC(GroupedMetric):
    """Plain mean over groups of the exact area under the ROC curve; ties count a half.

    Groups with one kind of label have no area and are left out; labels above 0 are positive. nan if no group has both.

    Args:
        num_class: classes of the task, 1 or 2.
        grouping_key: sparse feature whose first id is the group of a row.
    """

    def __init__(self, num_class: int, grouping_key: str) -> None:
        super().__init__(grouping_key, positive_probs(num_class))

    def compute_rows(self, group: torch.Tensor, score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        ranking = Ranking.of(group, score)
        positive, negative = ranking.per_tie((label > 0).double()), ranking.per_tie((label <= 0).double())  # (T,)
        won = ranking.per_group(positive * (ranking.before(negative) + negative / 2))  # (G,)
        pairs = ranking.per_group(positive) * ranking.per_group(negative)
        return (won / pairs)[pairs > 0].mean()
