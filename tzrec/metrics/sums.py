"""SumMetric: a metric that a few sums over rows are enough for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tzrec.metrics.base import Metric, State, positive_probs


class SumMetric(Metric):
    """A metric of a task that predicts the chance of a positive label; subclasses say what they add up.

    Attributes:
        reads: the output that holds the probabilities.
        sums: float64, what has been added up.

    Args:
        num_class: classes of the task, 1 or 2.
        shape: of the sums.
    """

    sums: torch.Tensor

    def __init__(self, num_class: int, *shape: int) -> None:
        self.reads = positive_probs(num_class)
        self._shape = shape
        self.reset()

    def add(self, sums: torch.Tensor) -> None:
        """Count a batch."""
        self.sums = self.sums.to(sums.device) + sums.double()

    def state(self) -> State:
        return {"sums": self.sums}

    def merge(self, states: Sequence[State]) -> None:
        self.sums = torch.stack([state["sums"] for state in states]).sum(0)

    def reset(self) -> None:
        self.sums = torch.zeros(self._shape, dtype=torch.float64)
