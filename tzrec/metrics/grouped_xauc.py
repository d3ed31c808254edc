"""GroupedXAUC: XAUC within groups of rows."""

from __future__ import annotations

import torch

from tzrec.metrics.grouped import GroupedMetric
from tzrec.metrics.pairs import concordance


class GroupedXAUC(GroupedMetric):
    """XAUC of `y` within each group, averaged with the sizes of the groups as weights.

    Groups without two rows of different labels among the sampled pairs are ignored; nan if there is no other.

    Args:
        num_class: classes of the task.
        grouping_key: sparse feature whose first id is the group of a row.
        max_pairs_per_group: groups with more pairs are sampled.
    """

    def __init__(self, num_class: int, grouping_key: str, max_pairs_per_group: int = 100) -> None:
        self.max_pairs_per_group = max_pairs_per_group
        super().__init__(grouping_key, "y")

    def compute_rows(self, group: torch.Tensor, score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        _, index, sizes = torch.unique(group, return_inverse=True, return_counts=True)
        budgets = torch.full_like(sizes, self.max_pairs_per_group)
        concordant, ordered = concordance(index, score, label, sizes, budgets)
        is_defined = ordered > 0
        return (concordant / ordered * sizes)[is_defined].sum() / sizes[is_defined].sum()
