"""Metrics of training batches, averaged over windows of steps with exponential decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from tzrec.data.batch import Batch
from tzrec.heads.head import TrainMetricFactory
from tzrec.heads.heads import Heads
from tzrec.metrics.base import State

_Decayed = TypeVar("_Decayed", torch.Tensor, float)
States = Mapping[str, State]
GatherStates = Callable[[States], Sequence[States]]
"""Function from the states of this rank, by metric, to those of all ranks in rank order."""


class TrainMetric:
    """One metric over windows of `decay_step` steps; at the end of a window, earlier ones have the weight `decay_rate`.

    A metric with `decays_state` mixes the counts of windows, `d old + (1 - d) new`, and is computed from the mixture;
    any other metric mixes its values. The first window is used unchanged. A window without a value changes nothing.

    Attributes:
        metric: counts of the current window.
        value: value as of the last window that ended; nan before.
    """

    def __init__(self, factory: TrainMetricFactory) -> None:
        self.metric = factory.build()
        self.value = math.nan
        self._decay_rate, self._decay_step = factory.decay_rate, factory.decay_step
        self._num_steps = 0
        self._decayed_state: State = {}

    def step(self) -> bool:
        """Count a step; True if it is the last one of a window."""
        self._num_steps += 1
        return self._num_steps % self._decay_step == 0

    def end_window(self, states: Sequence[State]) -> None:
        """Update the value with the states of all ranks and start the next window."""
        self.metric.merge(states)
        if self.metric.decays_state:
            old, new = self._decayed_state, self.metric.state()
            self._decayed_state = {key: self._decay(old.get(key, counts), counts) for key, counts in new.items()}
            self.metric.merge([self._decayed_state])
            self.value = self.metric.compute()
        else:
            value = self.metric.compute()
            if not math.isnan(value):
                self.value = value if math.isnan(self.value) else self._decay(self.value, value)
        self.metric.reset()

    def _decay(self, old: _Decayed, new: _Decayed) -> _Decayed:
        return old * self._decay_rate + new * (1 - self._decay_rate)


@dataclass(frozen=True)
class _HeadMetric:
    """Train metric with the head it belongs to.

    Attributes:
        head: name of the head.
        name: full name of the metric, with the suffix of the head.
    """

    head: str
    name: str
    train_metric: TrainMetric


class TrainMetrics:
    """The train metrics of all heads."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._metrics = [
            _HeadMetric(head_name, name + head.suffix, TrainMetric(factory))
            for head_name, head in heads.items()
            for name, factory in head.train_metric_factories.items()
        ]

    @torch.no_grad()
    def update(self, logits: Mapping[str, torch.Tensor], batch: Batch, gather: GatherStates) -> None:
        """Add a training step; every rank calls it at every step.

        Args:
            logits: `(B, num_class)` by head.
            batch: batch whose rows are added, with its labels.
            gather: gathers the states of all ranks; called at the end of windows, on all ranks at the same step.
        """
        if batch.rows:
            self._add(logits, batch)
        ending = [metric for metric in self._metrics if metric.train_metric.step()]
        if ending:
            states_by_rank = gather({metric.name: metric.train_metric.metric.state() for metric in ending})
            for metric in ending:
                metric.train_metric.end_window([states[metric.name] for states in states_by_rank])

    def _add(self, logits: Mapping[str, torch.Tensor], batch: Batch) -> None:
        for head_name in dict.fromkeys(metric.head for metric in self._metrics):
            head = self._heads[head_name]
            outputs, label = head.metric_inputs(logits[head_name], batch)
            for metric in self._metrics:
                if metric.head == head_name:
                    metric.train_metric.metric.update(outputs, label)

    def values(self) -> dict[str, float]:
        """Values by name; a metric that has no value yet is left out."""
        values = {metric.name: metric.train_metric.value for metric in self._metrics}
        return {name: value for name, value in values.items() if not math.isnan(value)}
