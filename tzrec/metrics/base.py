"""Metric: counts that add up over batches and over ranks, and the number made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

State = dict[str, torch.Tensor]


class Metric(ABC):
    """A metric of one task. Subclasses live in the file their oneof member names.

    Their constructors take `num_class` and the fields of their message as keyword arguments. The union of any number of
    states is exact: it equals the state of one metric that has seen all rows.

    Attributes:
        grouping_key: sparse feature whose first id says which group a row is in; "" for a metric without groups.
        larger_is_better: which way is up; None for a metric that is best somewhere between.
        decays_state: True if a train metric mixes the counts of its windows, False if it mixes their values.
    """

    grouping_key: str = ""
    larger_is_better: bool | None = True
    decays_state: ClassVar[bool] = False

    @abstractmethod
    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        """Count one batch.

        Args:
            predictions: outputs of the task without suffix: `probs` `(B,)` or `(B, C)`, `probs1` `(B,)`, `y` `(B,)`;
                and with a grouping key `group`, int64 `(B,)`, below 0 for rows in no group.
            label: `(B,)`.
        """

    @abstractmethod
    def state(self) -> State:
        """What has been counted; tensors whose first dimension may differ between ranks."""

    @abstractmethod
    def merge(self, states: Sequence[State]) -> None:
        """Hold the union of these states, those of all ranks including this one, in rank order."""

    @abstractmethod
    def compute(self) -> float:
        """The metric over everything counted; nan where it is not defined, as without any row."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything counted."""


def positive_probs(num_class: int) -> str:
    """The output that holds the chance of a positive label, for a task with 1 or 2 classes."""
    return "probs1" if num_class == 2 else "probs"


class Mean:
    """A mean that adds up over batches and ranks."""

    total: torch.Tensor
    count: int

    def __init__(self) -> None:
        self.reset()

    def add(self, total: torch.Tensor, count: int) -> None:
        """Count `count` values whose sum is `total`, 0-dimensional."""
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
    """Mean over rows of a score; subclasses say what a row scores."""

    def __init__(self, num_class: int) -> None:
        self.num_class = num_class
        super().__init__()

    @abstractmethod
    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        """The score of each row, `(B,)`."""

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        self.add(self.score(predictions, label).sum(dtype=torch.float64), len(label))
