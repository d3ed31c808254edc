"""EvalMetrics: metrics and mean losses of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tzrec.data.batch import Batch
from tzrec.heads.head import Head
from tzrec.heads.heads import Heads
from tzrec.metrics.base import Mean, Metric, State


class EvalMetrics:
    """All metrics of the served heads, and every loss as the mean of its batch means weighted by rows.

    On several ranks: gather `state()` of all ranks and pass the list to `merge` on any rank; `compute` then returns
    the metrics of the union of their rows.
    """

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.reset()

    def reset(self) -> None:
        """Remove all counts."""
        heads = self.heads.served.values()
        losses = [name + head.suffix for head in heads for name in head.losses]
        self.metrics = {name: metric for head in heads for name, metric in head.build_metrics().items()}
        self.losses = {name: Mean() for name in [*losses, *self.heads.evaluated_auxiliary_losses]}

    @torch.no_grad()
    def update(
        self, logits: Mapping[str, torch.Tensor], auxiliary_losses: Mapping[str, torch.Tensor], batch: Batch
    ) -> None:
        """Add the rows of a batch that count.

        Args:
            logits: `(B, num_class)` by head.
            auxiliary_losses: row values `(B,)` of the auxiliary losses, as the model returns them.
            batch: batch with labels, weights and groups.
        """
        losses = self.heads.compute_auxiliary_losses(auxiliary_losses, batch)
        for name, head in self.heads.served.items():
            outputs, label = head.metric_inputs(logits[name], batch)
            for metric_name in head.metric_factories:
                metric = self.metrics[metric_name + head.suffix]
                metric.update(outputs | _group(metric, head, batch), label)
            losses |= head.compute_losses(logits[name], batch)
        for name, mean in self.losses.items():
            mean.add(losses[name].double() * batch.rows, batch.rows)

    def state(self) -> dict[str, State]:
        """Counts by metric and loss."""
        return {name: metric.state() for name, metric in (self.metrics | self.losses).items()}

    def merge(self, states: Sequence[Mapping[str, State]]) -> None:
        """Replace the counts by the union of these states, which are those of all ranks including this one."""
        for name, metric in (self.metrics | self.losses).items():
            metric.merge([state[name] for state in states])

    def remarks(self) -> dict[str, str]:
        """Remarks on the values of metrics by their names; metrics without one are left out."""
        remarks = {name: metric.remark() for name, metric in self.metrics.items()}
        return {name: remark for name, remark in remarks.items() if remark}

    def compute(self) -> dict[str, float]:
        """Metrics and losses by name, sorted: `auc_ctr`, `binary_cross_entropy_ctr` and so on."""
        return {name: metric.compute() for name, metric in sorted((self.metrics | self.losses).items())}


def _group(metric: Metric, head: Head, batch: Batch) -> dict[str, torch.Tensor]:
    """Groups of the rows that count, for a metric over groups."""
    return {"group": batch.first_ids(metric.grouping_key)[head.metric_rows(batch)]} if metric.grouping_key else {}
