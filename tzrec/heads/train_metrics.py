"""Metrics of the training batches, smoothed over windows of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from tzrec.data.batch import Batch
from tzrec.heads.build import Tasks
from tzrec.heads.head import TrainMetricFactory
from tzrec.metrics.auc import AUC
from tzrec.metrics.base import State

_Mixed = TypeVar("_Mixed", torch.Tensor, float)
States = Mapping[str, State]
Exchange = Callable[[States], Sequence[States]]
"""From the states of this rank, by metric, to those of all ranks in rank order."""


class TrainMetric:
    """One metric over windows of `decay_step` steps; the past keeps the weight `decay_rate` when a window closes.

    The histograms of an AUC are mixed, `d old + (1 - d) new`, and it is computed from the mixture; of any other metric
    its values are. The first window is taken as it is, and one in which the metric is not defined changes nothing.

    Attributes:
        metric: counts the window that is open.
        value: as of the last window that was closed; nan before.
    """

    def __init__(self, maker: TrainMetricFactory) -> None:
        self.metric = maker.make()
        self.value = math.nan
        self._rate, self._length = maker.decay_rate, maker.decay_step
        self._steps = 0
        self._past: State = {}

    def stepped(self) -> bool:
        """Count a step; whether it was the last one of a window."""
        self._steps += 1
        return self._steps % self._length == 0

    def close(self, states: Sequence[State]) -> None:
        """End the window; `states` are those of all ranks."""
        self.metric.merge(states)
        if isinstance(self.metric, AUC):
            counted = self.metric.state()
            self._past = {key: self._mix(self._past.get(key, new), new) for key, new in counted.items()}
            self.metric.merge([self._past])
        value = self.metric.compute()
        if isinstance(self.metric, AUC) or math.isnan(self.value):
            self.value = value
        elif not math.isnan(value):
            self.value = self._mix(self.value, value)
        self.metric.reset()

    def _mix(self, old: _Mixed, new: _Mixed) -> _Mixed:
        return old * self._rate + new * (1 - self._rate)


@dataclass(frozen=True)
class _Placed:
    """A metric with the names it needs.

    Attributes:
        task: its task's name.
        name: its own with the suffix of the task.
    """

    task: str
    name: str
    online: TrainMetric


class TrainMetrics:
    """The train metrics of all tasks."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._metrics = [
            _Placed(task, name + head.suffix, TrainMetric(maker))
            for task, head in tasks.items()
            for name, maker in head.online_makers.items()
        ]

    @torch.no_grad()
    def update(self, logits: Mapping[str, torch.Tensor], batch: Batch, exchange: Exchange) -> None:
        """Count a step that has been learned from; every rank calls it at every step.

        Args:
            logits: per task `(B, num_class)`.
            batch: whose rows count.
            exchange: asked for the states of all ranks when windows close, by all of them at the same step.
        """
        if batch.rows:
            self._count(logits, batch)
        closing = [each for each in self._metrics if each.online.stepped()]
        if closing:
            ranks = exchange({each.name: each.online.metric.state() for each in closing})
            for each in closing:
                each.online.close([states[each.name] for states in ranks])

    def _count(self, logits: Mapping[str, torch.Tensor], batch: Batch) -> None:
        for task in dict.fromkeys(each.task for each in self._metrics):
            head = self._tasks[task]
            outputs = head.scored(logits[task], batch)
            for each in self._metrics:
                if each.task == task:
                    each.online.metric.update(outputs, batch.labels[head.label_name][: batch.rows])

    def values(self) -> dict[str, float]:
        """By name; a metric without a closed window, or not defined in any, is left out."""
        found = {each.name: each.online.value for each in self._metrics}
        return {name: value for name, value in found.items() if not math.isnan(value)}
