"""Mean losses and throughput between two log lines, and the rule that ends a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch

from tzrec.checkpoint.position import Position
from tzrec.distributed import group


@dataclass(frozen=True)
class StopCondition:
    """Number of steps or epochs after which a run ends.

    Attributes:
        num_steps: total steps; None if unknown, as with epochs over data of unknown length.
        num_epochs: total epochs over the present files; None if `num_steps` decides.
    """

    num_steps: int | None
    num_epochs: int | None = None

    def is_reached(self, position: Position) -> bool:
        if self.num_epochs is not None:
            return position.data_epochs >= self.num_epochs
        return self.num_steps is not None and position.steps >= self.num_steps


@dataclass(frozen=True)
class StepLog:
    """Content of one log line.

    Attributes:
        position: after the step.
        stop_condition: of the run.
        losses: by name, means over the rows of all ranks since the last log line.
        learning_rates: the sparse one first.
        rows_per_second: of all ranks together.
        eta: seconds to the end; None if unknown.
        metrics: of training batches by name, from the last complete windows.
        stage_seconds: time of rank 0 by stage since the start, see `StageTimer`.
    """

    position: Position
    stop_condition: StopCondition
    losses: Mapping[str, float]
    learning_rates: tuple[float, ...]
    rows_per_second: float
    eta: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def total_loss(self) -> float:
        return sum(self.losses.values())


class MetricLogger:
    """Sums losses on their device, so that no step waits for it, and counts rows and steps.

    Args:
        stop_condition: of the run, for the estimate of the remaining time.
    """

    def __init__(self, stop_condition: StopCondition) -> None:
        self._stop_condition = stop_condition
        self._is_first = True
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._num_rows = 0
        self._num_rows_all_ranks = 0
        self._num_steps = 0
        self._start = time.perf_counter()

    def update(self, losses: Mapping[str, torch.Tensor], num_rows: int, num_rows_all_ranks: int) -> None:
        """Add the mean losses of a step over the rows of this rank."""
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.detach().double() * num_rows
        self._num_rows += num_rows
        self._num_rows_all_ranks += num_rows_all_ranks
        self._num_steps += 1

    def exclude(self, seconds: float) -> None:
        """Exclude time that was not spent on training from the throughput."""
        self._start += seconds

    def compute(
        self,
        position: Position,
        learning_rates: Sequence[float],
        metrics: Mapping[str, float],
        stage_seconds: Mapping[str, float] = MappingProxyType({}),
    ) -> StepLog:
        """Summarize the steps since the last call and reset the sums; all ranks call this together."""
        sums = group.total([*(float(value) for value in self._sums.values()), self._num_rows])
        num_rows = max(sums[-1], 1)
        seconds = time.perf_counter() - self._start
        losses = {name: value / num_rows for name, value in zip(self._sums, sums, strict=False)}
        rate = self._num_rows_all_ranks / max(seconds, 1e-9)
        eta = self._eta(position, seconds)
        stages = dict(stage_seconds)
        log = StepLog(position, self._stop_condition, losses, tuple(learning_rates), rate, eta, metrics, stages)
        self._is_first = False
        self._reset()
        return log

    def _eta(self, position: Position, seconds: float) -> float | None:
        # the first step takes longer than any other and predicts nothing
        if self._stop_condition.num_steps is None or (self._is_first and self._num_steps < 2):
            return None
        num_left = max(self._stop_condition.num_steps - position.steps, 0)
        return num_left * seconds / max(self._num_steps, 1)
