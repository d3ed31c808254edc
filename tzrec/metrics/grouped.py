"""GroupedMetric: base class of metrics of the order of rows within groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from tzrec.metrics.base import Metric, State


@dataclass(frozen=True)
class Ranking:
    """N rows in sorted order: group after group, by a score within, rows of equal score side by side as a tie.

    Attributes:
        order: indices of the rows, `(N,)`.
        group: group of each sorted row from 0 up, `(N,)`.
        tie: tie of each sorted row from 0 up, `(N,)`.
    """

    order: torch.Tensor
    group: torch.Tensor
    tie: torch.Tensor

    @classmethod
    def of(cls, group: torch.Tensor, score: torch.Tensor) -> Ranking:
        """Rank rows within their groups by rising score."""
        order = lexsort(group, score)
        return cls(order, run_index(group[order]), run_index(group[order], score[order]))

    @cached_property
    def group_of_tie(self) -> torch.Tensor:
        """Group of each tie, `(T,)`."""
        return self.group[torch.cat([self.tie[:1] == 0, self.tie[1:] != self.tie[:-1]])]

    def per_tie(self, values: torch.Tensor) -> torch.Tensor:
        """Sum values of the rows `(N,)`, in their original order, over each tie, `(T,)`."""
        return torch.bincount(self.tie, weights=values[self.order])

    def per_group(self, of_tie: torch.Tensor) -> torch.Tensor:
        """Sum values `(T,)` over each group, `(G,)`."""
        return torch.bincount(self.group_of_tie, weights=of_tie)

    def before(self, of_tie: torch.Tensor) -> torch.Tensor:
        """Sum values `(T,)` over the earlier ties of the same group, `(T,)`."""
        of_group = self.per_group(of_tie)
        earlier_groups = of_group.cumsum(0) - of_group
        return of_tie.cumsum(0) - of_tie - earlier_groups[self.group_of_tie]


def lexsort(*keys: torch.Tensor) -> torch.Tensor:
    """Indices that sort by the first key, then by the next ones."""
    order = torch.arange(len(keys[0]))
    for key in reversed(keys):
        order = order[torch.argsort(key[order], stable=True)]
    return order


def run_index(*keys: torch.Tensor) -> torch.Tensor:
    """Number of the run of equal keys that each sorted row is in, from 0 up."""
    differs = torch.zeros(len(keys[0]), dtype=torch.bool)
    for key in keys:
        differs[1:] |= key[1:] != key[:-1]
    return differs.cumsum(0)


class GroupedMetric(Metric):
    """A metric over groups of rows; keeps every row on the host: 16 bytes each, on all ranks once they are merged.

    Rows without a group are ignored. One NaN score makes the metric NaN.

    Args:
        grouping_key: sparse feature whose first id is the group of a row.
        output_name: name of the output that is the score.
    """

    def __init__(self, grouping_key: str, output_name: str) -> None:
        self.grouping_key = grouping_key
        self.output_name = output_name
        self.reset()

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        group = predictions["group"].cpu()
        grouped = group >= 0
        self._groups.append(group[grouped])
        self._scores.append(predictions[self.output_name].detach().cpu()[grouped])
        self._labels.append(label.cpu().float()[grouped])

    def state(self) -> State:
        group, score, label = self.rows()
        return {"group": group, "score": score, "label": label}

    def merge(self, states: Sequence[State]) -> None:
        self._groups = [state["group"] for state in states]
        self._scores = [state["score"] for state in states]
        self._labels = [state["label"] for state in states]

    def reset(self) -> None:
        self._groups = [torch.zeros(0, dtype=torch.int64)]
        self._scores = [torch.zeros(0)]
        self._labels = [torch.zeros(0)]

    def rows(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Groups, scores and labels of all rows, `(N,)` each."""
        return torch.cat(self._groups), torch.cat(self._scores), torch.cat(self._labels)

    def compute(self) -> float:
        group, score, label = self.rows()
        if not len(group) or score.isnan().any():
            return float("nan")
        return self.compute_rows(group, score, label).item()

    def compute_rows(self, group: torch.Tensor, score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the metric of at least one row, 0-dimensional."""
        raise NotImplementedError
