"""Meter: mean losses and speed between two log lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tzrec.checkpoint.position import Position
from tzrec.distributed import group


@dataclass(frozen=True)
class StopCondition:
    """When a run is over.

    Attributes:
        steps: number of steps; None where it is not known, as with passes over data of unknown length.
        epochs: number of passes; None where steps count.
    """

    steps: int | None
    epochs: int | None = None

    def is_reached(self, position: Position) -> bool:
        if self.epochs is not None:
            return position.epochs >= self.epochs
        return self.steps is not None and position.steps >= self.steps


@dataclass(frozen=True)
class StepLog:
    """What there is to say at a log step.

    Attributes:
        position: after the step.
        goal: of the run.
        losses: by name, means over the rows of all ranks since the last log.
        rates: learning rates, the sparse one first.
        speed: rows per second of all ranks together.
        eta: seconds to the end, None where it is not known.
        metrics: of training batches, by name, as of the last windows that were closed.
    """

    position: Position
    goal: StopCondition
    losses: Mapping[str, float]
    rates: tuple[float, ...]
    speed: float
    eta: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The total."""
        return sum(self.losses.values())


class MetricLogger:
    """Adds up losses where they are, so that a device need not be waited for at every step."""

    def __init__(self, goal: StopCondition) -> None:
        self.goal = goal
        self._first = True
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._rows = 0
        self._all_rows = 0
        self._steps = 0
        self._began = time.perf_counter()

    def add(self, losses: Mapping[str, torch.Tensor], rows: int, all_rows: int) -> None:
        """Count a step: mean losses over `rows` of this rank, `all_rows` on all of them."""
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.detach().double() * rows
        self._rows += rows
        self._all_rows += all_rows
        self._steps += 1

    def without(self, seconds: float) -> None:
        """Leave out time that was not spent training."""
        self._began += seconds

    def read(self, position: Position, rates: list[float], metrics: Mapping[str, float]) -> StepLog:
        """What has come together since the last time; all ranks call it together."""
        sums = group.total([*(float(value) for value in self._sums.values()), self._rows])
        rows = max(sums[-1], 1)
        seconds = time.perf_counter() - self._began
        losses = {name: value / rows for name, value in zip(self._sums, sums, strict=False)}
        left = None if self.goal.steps is None else max(self.goal.steps - position.steps, 0)
        # the first step takes longer than any other: no time left can be told from it
        eta = None if left is None or (self._first and self._steps < 2) else left * seconds / max(self._steps, 1)
        log = StepLog(position, self.goal, losses, tuple(rates), self._all_rows / max(seconds, 1e-9), eta, metrics)
        self._first = False
        self._clear()
        return log
