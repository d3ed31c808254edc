"""Scores: everything an evaluation reports of a model's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tzrec.data.batch import Batch
from tzrec.heads.build import Tasks
from tzrec.metrics.base import Mean, Metric, State


class EvalMetrics:
    """All metrics, and every loss as the mean of its batch means weighted by rows.

    `state()` of every rank, gathered, goes into `merge` of any: then `compute` is that of the union.
    """

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self.reset()

    def reset(self) -> None:
        """Forget everything counted."""
        heads = self.tasks.served().values()
        self.metrics = {name: metric for head in heads for name, metric in head.metrics().items()}
        self.losses = {name + head.suffix: Mean() for head in heads for name in head.losses}

    @torch.no_grad()
    def update(self, logits: Mapping[str, torch.Tensor], batch: Batch) -> None:
        """Count the rows of a batch that count; logits `(B, num_class)` per task."""
        rows = batch.rows
        for task, head in self.tasks.served().items():
            outputs = head.scored(logits[task], batch)
            for name in head.metric_makers:
                metric = self.metrics[name + head.suffix]
                metric.update(outputs | _group(metric, batch), batch.labels[head.label_name][:rows])
            for name, loss in head.loss(logits[task], batch).items():
                self.losses[name].add(loss.double() * rows, rows)

    def state(self) -> dict[str, State]:
        """What has been counted, by metric and loss."""
        return {name: each.state() for name, each in (self.metrics | self.losses).items()}

    def merge(self, states: Sequence[Mapping[str, State]]) -> None:
        """Hold the union of these states, those of all ranks including this one."""
        for name, each in (self.metrics | self.losses).items():
            each.merge([state[name] for state in states])

    def compute(self) -> dict[str, float]:
        """By name, sorted: `auc_ctr`, `binary_cross_entropy_ctr` and so on."""
        return {name: each.compute() for name, each in sorted((self.metrics | self.losses).items())}


def _group(metric: Metric, batch: Batch) -> dict[str, torch.Tensor]:
    """The groups of the rows of a batch that count, for a metric that asks for them."""
    return {"group": batch.first_ids(metric.grouping_key)[: batch.rows]} if metric.grouping_key else {}
