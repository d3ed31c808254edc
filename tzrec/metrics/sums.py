"""SumMetric: base class of metrics that are computed from a few sums over rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tzrec.metrics.base import Metric, State, positive_probs


class SumMetric(Metric):
    """A metric of the probability of a positive label; subclasses define the sums.

    Attributes:
        output_name: name of the output with the probabilities.
        sums: sums over all rows, float64.

    Args:
        num_class: classes of the task, 1 or 2.
        shape: shape of the sums.
    """

    sums: torch.Tensor

    def __init__(self, num_class: int, *shape: int) -> None:
        self.output_name = positive_probs(num_class)
        self._shape = shape
        self.reset()

    def add(self, sums: torch.Tensor) -> None:
        """Add the sums of a batch."""
        self.sums = self.sums.to(sums.device) + sums.double()

    def state(self) -> State:
        return {"sums": self.sums}

    def merge(self, states: Sequence[State]) -> None:
        self.sums = torch.stack([state["sums"] for state in states]).sum(0)

    def reset(self) -> None:
        self.sums = torch.zeros(self._shape, dtype=torch.float64)
