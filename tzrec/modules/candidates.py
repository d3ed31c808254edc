"""Candidates: the item rows of a batch, arranged as the candidates of each query."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ABSENT = torch.finfo(torch.float32).min
"""Score of a candidate that a query does not have."""


@dataclass(frozen=True)
class Candidates:
    """Arrangement of R item rows as candidates of Q queries.

    The rows are those of the Q positive items, then M sampled items, then H hard negatives of single queries. In the
    layout "in_batch" all R rows are candidates of every query, and row i is the positive of query i. Otherwise a query
    has 1 + M + K candidates: its positive, the sampled items, and its hard negatives by their slots; K is the largest
    number of hard negatives of a query.

    Attributes:
        num_queries: Q.
        is_in_batch: the layout.
        hard_index: query and slot of each hard negative, int64 `(H, 2)`; None for none.
    """

    num_queries: int
    is_in_batch: bool
    hard_index: Tensor | None = None

    def scores(self, queries: Tensor, items: Tensor) -> Tensor:
        """Inner products of queries `(Q, D)` and items `(R, D)` as `(Q, C)`, ABSENT in the slots that are empty."""
        if self.is_in_batch:
            return queries @ items.t()  # (Q, R)
        positives, sampled, hard = self._split(items)
        own = (queries * positives).sum(1, keepdim=True)  # (Q, 1)
        parts = [own, queries @ sampled.t()]
        if self.hard_index is not None:
            hard_scores = (queries.index_select(0, self.hard_index[:, 0]) * hard).sum(1)  # (H,)
            parts.append(self._scatter(hard_scores, ABSENT))
        return torch.cat(parts, 1)

    def equal_positive(self, ids: Tensor) -> Tensor:
        """Bool `(Q, C)`: True for candidates other than the positive that are the same item, by the ids `(R,)`."""
        positives, sampled, hard = self._split(ids)
        if self.is_in_batch:
            equal = positives.unsqueeze(1) == ids  # (Q, R)
            return equal & ~torch.eye(*equal.shape, dtype=torch.bool, device=ids.device)
        parts = [torch.zeros_like(positives, dtype=torch.bool).unsqueeze(1), positives.unsqueeze(1) == sampled]
        if self.hard_index is not None:
            parts.append(self._scatter(positives.index_select(0, self.hard_index[:, 0]) == hard, False))
        return torch.cat(parts, 1)

    def spread(self, values: Tensor) -> Tensor:
        """Values of the rows `(R,)` as `(Q, C)` or `(1, C)`; without "in_batch" 0 for the positives and hard negatives,
        which do not depend on chance."""
        if self.is_in_batch:
            return values.unsqueeze(0)
        _, sampled, _ = self._split(values)
        num_hard = 0 if self.hard_index is None else self._num_slots()
        return torch.cat([values.new_zeros(1), sampled, values.new_zeros(num_hard)]).unsqueeze(0)

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        num_hard = 0 if self.hard_index is None else len(self.hard_index)
        positives, sampled, hard = rows.split([self.num_queries, len(rows) - self.num_queries - num_hard, num_hard])
        return positives, sampled, hard

    def _num_slots(self) -> int:
        assert self.hard_index is not None
        return int(self.hard_index[:, 1].max()) + 1

    def _scatter(self, values: Tensor, fill: float | bool) -> Tensor:
        """Values of the hard negatives `(H,)` by query and slot, `(Q, K)`."""
        assert self.hard_index is not None
        slots = values.new_full((self.num_queries, self._num_slots()), fill)
        return slots.index_put((self.hard_index[:, 0], self.hard_index[:, 1]), values)
