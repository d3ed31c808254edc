"""Mean losses and throughput between two log lines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch

from tzrec.checkpoint.position import Position
from tzrec.distributed import group
from tzrec.run.stop_condition import StopCondition
from tzrec.run.throughput import Throughput


@dataclass(frozen=True)
class StepLog:
    """Content of one log line.

    Attributes:
        position: after the step.
        stop_condition: of the run.
        losses: by name, means over the rows of all ranks since the last log line.
        learning_rates: the sparse one first.
        rows_per_second: of all ranks together; of the first step alone if it is the only one.
        eta: seconds to the end, or with `stop_condition.has_early_end` the most that it can take; None if unknown.
        metrics: of training batches by name, from the last complete windows.
        stage_seconds: time of rank 0 by stage since the start, see `StageTimer`.
        is_warm_up: the first step is the only one, so that its throughput says nothing.
    """

    position: Position
    stop_condition: StopCondition
    losses: Mapping[str, float]
    learning_rates: tuple[float, ...]
    rows_per_second: float
    eta: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    is_warm_up: bool = False

    @property
    def total_loss(self) -> float:
        return sum(self.losses.values())


class MetricLogger:
    """Sums losses on their device, so that no step waits for it, and counts rows and steps.

    Args:
        stop_condition: of the run, for the estimate of the remaining time.
        seconds_left: returns the seconds to the time limit of the run.
    """

    def __init__(self, stop_condition: StopCondition, seconds_left: Callable[[], float] = lambda: math.inf) -> None:
        self._stop_condition, self._seconds_left = stop_condition, seconds_left
        self._throughput = Throughput(stop_condition)
        self._is_first_step, self._first_rate = True, 0.0
        self._last_losses: Mapping[str, float] = {}
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._num_rows = 0
        self._num_rows_timed = 0
        self._start = time.perf_counter()

    def update(self, losses: Mapping[str, torch.Tensor], num_rows: int) -> None:
        """Add the mean losses of a step over the rows of this rank."""
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.detach().double() * num_rows
        self._num_rows += num_rows

    def count(self, position: Position, num_rows: int) -> None:
        """Count a step, also one that was not applied.

        Args:
            position: after the step.
            num_rows: rows of all ranks that were trained.
        """
        self._throughput.update(position, num_rows)
        self._num_rows_timed += num_rows
        if self._is_first_step:
            self._is_first_step, self._first_rate = False, num_rows / max(time.perf_counter() - self._start, 1e-9)
            self._num_rows_timed, self._start = 0, time.perf_counter()

    def exclude(self, seconds: float) -> None:
        """Exclude time that was not spent on training from the throughput."""
        self._start += seconds
        self._throughput.exclude(seconds)

    def compute(
        self,
        position: Position,
        learning_rates: Sequence[float],
        metrics: Mapping[str, float],
        stage_seconds: Mapping[str, float] = MappingProxyType({}),
    ) -> StepLog:
        """Summarize the steps since the last call and reset the sums; all ranks call this together."""
        sums = group.total([*(float(value) for value in self._sums.values()), self._num_rows])
        losses = {name: value / max(sums[-1], 1) for name, value in zip(self._sums, sums, strict=False)}
        seconds, num_rows = time.perf_counter() - self._start, self._num_rows_timed
        is_warm_up = self._throughput.rows_per_second is None
        rate = self._first_rate if is_warm_up else num_rows / max(seconds, 1e-9)
        if not is_warm_up:
            self._last_losses = losses
        self._reset()
        return StepLog(
            position,
            self._stop_condition,
            losses,
            tuple(learning_rates),
            rate,
            self._eta(),
            metrics,
            dict(stage_seconds),
            is_warm_up,
        )

    def current(self, position: Position, learning_rates: Sequence[float], metrics: Mapping[str, float]) -> StepLog:
        """Summarize the last seconds without a word to other ranks: the losses are those of the last call of `compute`.

        Before there are any, they are those of this rank so far.
        """
        rate, eta = self._throughput.rows_per_second, self._eta()
        losses = self._last_losses or {
            name: float(value) / max(self._num_rows, 1) for name, value in self._sums.items()
        }
        log = StepLog(position, self._stop_condition, losses, tuple(learning_rates), rate or 0.0, eta, metrics)
        return replace(log, is_warm_up=rate is None)

    def _eta(self) -> float | None:
        """Seconds to the end, by the pace of the last seconds and by the time limit."""
        if self._throughput.rows_per_second is None:
            return None
        eta = self._throughput.eta
        left = self._seconds_left() if eta is None else min(eta, self._seconds_left())
        return left if math.isfinite(left) else None
