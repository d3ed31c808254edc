"""Metric: counts that are added up over batches and ranks, and a value computed from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

State = dict[str, torch.Tensor]


class Metric(ABC):
    """A metric of one task. The oneof member of a subclass names its file.

    Constructors take `num_class` and the fields of the message as keyword arguments. The union of any number of states
    is exact: it equals the state of one metric over all rows.

    Attributes:
        grouping_key: sparse feature whose first id is the group of a row; "" for a metric without groups.
        larger_is_better: True or False, or None for a metric with its best value in between.
        decays_state: True if a train metric mixes the counts of its windows, False if it mixes their values.
    """

    grouping_key: str = ""
    larger_is_better: bool | None = True
    decays_state: ClassVar[bool] = False

    @abstractmethod
    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        """Add a batch.

        Args:
            predictions: outputs of the task without suffix: `probs` `(B,)` or `(B, C)`, `probs1` `(B,)`, `y` `(B,)`;
                and with a grouping key `group`, int64 `(B,)`, below 0 for rows in no group.
            label: `(B,)`.
        """

    @abstractmethod
    def state(self) -> State:
        """Counts, as tensors whose first dimension may differ between ranks."""

    @abstractmethod
    def merge(self, states: Sequence[State]) -> None:
        """Replace the counts by the union of these states: those of all ranks including this one, in rank order."""

    @abstractmethod
    def compute(self) -> float:
        """Compute the metric; nan if it is not defined, as without any row."""

    def remark(self) -> str:
        """Describe why the value says less than it seems to; "" if it does not."""
        return ""

    @abstractmethod
    def reset(self) -> None:
        """Remove all counts."""


def positive_probs(num_class: int) -> str:
    """Name of the output with the probability of a positive label, for a task with 1 or 2 classes."""
    return "probs1" if num_class == 2 else "probs"


class Mean:
    """Mean over batches and ranks."""

    total: torch.Tensor
    count: int

    def __init__(self) -> None:
        self.reset()

    def add(self, total: torch.Tensor, count: int) -> None:
        """Add `count` values whose sum is `total`, 0-dimensional."""
        self.total = self.total.to(total.device) + total
        self.count += count

    def state(self) -> State:
        return {"total": self.total, "count": torch.tensor(self.count, dtype=torch.float64)}

    def merge(self, states: Sequence[State]) -> None:
        self.total = torch.stack([state["total"] for state in states]).sum()
        self.count = int(sum(state["count"].item() for state in states))

    def compute(self) -> float:
        return self.total.item() / self.count if self.count else float("nan")

    def reset(self) -> None:
        self.total = torch.zeros((), dtype=torch.float64)
        self.count = 0


class MeanMetric(Mean, Metric):
    """Mean over rows of a score that subclasses define."""

    def __init__(self, num_class: int) -> None:
        self.num_class = num_class
        super().__init__()

    @abstractmethod
    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        """Compute the score of each row, `(B,)`."""

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        self.add(self.score(predictions, label).sum(dtype=torch.float64), len(label))
