"""Head: the losses, outputs and metrics of one task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tzrec.config.heads import head_suffix
from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.losses.base import Loss
from tzrec.metrics.base import Metric

Predictions = dict[str, torch.Tensor]
"""Outputs of all heads by name: `logits_ctr` `(B,)`, `probs_kind` `(B, C)`, `y_ltv` `(B,)`."""

WeightMean = Callable[[torch.Tensor], torch.Tensor]
"""Function from the weights of this rank `(rows,)`, possibly none, to their mean over the rows of all ranks."""

MetricFactory = Callable[[], Metric]
"""Function that builds a metric without any counts."""


def local_mean(values: torch.Tensor) -> torch.Tensor:
    """Mean over the rows of this rank; 0 if it has none."""
    return values.sum() / max(len(values), 1)


@dataclass(frozen=True)
class Weighting:
    """Weights of the rows of a loss: `scale w_i / mean(w)`, and 0 if the mean is 0.

    `w_i` is the sample weight, or 1, times `in_space_weight` where the indicator label is above 0 and
    `out_space_weight` elsewhere. Only the ratio of these two matters. A batch whose weights are all 0 has loss 0.

    Attributes:
        scale: factor of the whole loss.
        sample_weight_name: weight column; "" for none.
        indicator_name: label column that is above 0 for rows in the space of the task; "" for none.
        in_space_weight: weight of the rows in the space.
        out_space_weight: weight of all other rows.
    """

    scale: float = 1.0
    sample_weight_name: str = ""
    indicator_name: str = ""
    in_space_weight: float = 1.0
    out_space_weight: float = 1.0

    def row_weights(self, batch: Batch, mean: WeightMean) -> torch.Tensor | None:
        """Normalized weights `w_i / mean(w)` of the rows that count, `(rows,)`; None if all rows count the same."""
        weights = self._raw_weights(batch)
        if weights is None:
            return None
        weights = weights[: batch.rows]
        average = mean(weights)
        return torch.where(average == 0, torch.zeros_like(weights), weights / average)

    def is_in_space(self, batch: Batch) -> torch.Tensor:
        """Rows in the space of the task, `(B,)`; there is an indicator."""
        return batch.label(self.indicator_name) > 0

    def _raw_weights(self, batch: Batch) -> torch.Tensor | None:
        weights = batch.weights[self.sample_weight_name] if self.sample_weight_name else None  # (B,)
        if not self.indicator_name:
            return weights
        space_weights = torch.where(self.is_in_space(batch), self.in_space_weight, self.out_space_weight)  # (B,)
        return space_weights if weights is None else weights * space_weights


@dataclass(frozen=True)
class TrainMetricFactory:
    """Factory of a metric of training batches, with the decay of its windows.

    Attributes:
        build: builds the metric without any counts.
        decay_rate: weight of earlier windows when a window of steps ends.
        decay_step: number of steps of a window.
    """

    build: MetricFactory
    decay_rate: float
    decay_step: int


@dataclass(frozen=True)
class Head:
    """One task: its losses, outputs and metrics, and their names.

    Attributes:
        name: name of the task; "" for the only one of a single-task model.
        label_name: label column.
        num_class: width of its logits.
        losses: losses by name; they are added up.
        metric_factories: metrics of an evaluation by name.
        weighting: weights of the rows in its losses.
        tower: arguments of the MLP in front of its logits; None for a linear layer alone.
        train_metric_factories: metrics of training batches by name.
        loss_factors: factors of its losses by name; 1 for those that are missing.
        is_training_only: True if the head is not evaluated, predicted or exported.
        has_task_space_metrics: True if metrics count only the rows in the space of the task, see `Weighting`.
    """

    name: str
    label_name: str
    num_class: int
    losses: Mapping[str, Loss]
    metric_factories: Mapping[str, MetricFactory] = field(default_factory=dict)
    weighting: Weighting = Weighting()
    tower: Mapping[str, Any] | None = None
    train_metric_factories: Mapping[str, TrainMetricFactory] = field(default_factory=dict)
    loss_factors: Mapping[str, float] = field(default_factory=dict)
    is_training_only: bool = False
    has_task_space_metrics: bool = False

    @property
    def suffix(self) -> str:
        """Suffix of its outputs, losses and metrics, see `head_suffix`."""
        return head_suffix(self.name)

    @property
    def out_dim(self) -> int:
        """Width of the output of a tower of this head."""
        return self.num_class

    @property
    def has_tower(self) -> bool:
        """True if a model computes its logits in a tower of its own."""
        return True

    def compute_losses(
        self, logits: torch.Tensor, batch: Batch, mean: WeightMean = local_mean
    ) -> dict[str, torch.Tensor]:
        """Compute each loss l as `factor * scale * mean_i(l_i w_i)` over the rows i that count; exactly 0 of no rows.

        See `Weighting` for `scale` and `w_i`.

        Args:
            logits: `(B, num_class)`.
            batch: batch with the label and the weights.
            mean: mean of weights; by default over the rows of this rank.

        Raises:
            DataError: The labels are not classes of this task.
        """
        logits = self.select_logits(logits, batch)
        label = self.targets(logits, batch)
        weights = self.weighting.row_weights(batch, mean)
        losses = {}
        for name, loss in self.losses.items():
            row_losses = self._row_losses(loss, logits[: batch.rows], label, batch)  # (rows,)
            average = local_mean(row_losses if weights is None else row_losses * weights)
            losses[name + self.suffix] = average * (self.weighting.scale * self.loss_factors.get(name, 1.0))
        return losses

    def select_logits(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Logits that losses and metrics read, `(B, num_class)`, out of the logits of the model for this head."""
        return logits

    def targets(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Labels that losses and metrics compare with `logits`, of the rows that count, `(rows,)`."""
        return batch.label(self.label_name)[: batch.rows]

    def _row_losses(self, loss: Loss, logits: torch.Tensor, label: torch.Tensor, batch: Batch) -> torch.Tensor:
        if loss.integer_label and label.is_floating_point():
            raise DataError(
                f'label column "{self.label_name}" holds {label.dtype} values; {loss.name} needs integer class numbers'
            )
        try:
            return loss.batch_row_losses(logits, label, batch)
        except IndexError:  # torch's error on the CPU for a class out of range
            low, high = int(label.min()), int(label.max())
            raise DataError(
                f'label column "{self.label_name}" holds classes from {low} to {high}; '
                f"with num_class {self.num_class} they are 0 to {self.num_class - 1}"
            ) from None

    def outputs(self, logits: torch.Tensor) -> Predictions:
        """Outputs of all its losses, without suffix, from logits `(B, num_class)`."""
        return {key: value for loss in self.losses.values() for key, value in loss.outputs(logits).items()}

    def metric_rows(self, batch: Batch) -> slice | torch.Tensor:
        """Index of the rows that metrics count, out of `(B,)`."""
        if not self.has_task_space_metrics:
            return slice(batch.rows)
        return self.weighting.is_in_space(batch)[: batch.rows].nonzero().squeeze(1)

    def metric_inputs(self, logits: torch.Tensor, batch: Batch) -> tuple[Predictions, torch.Tensor]:
        """Outputs, without suffix, and labels of the rows that metrics count."""
        rows = self.metric_rows(batch)
        outputs = self.outputs(self.select_logits(logits, batch))
        return {key: value[rows] for key, value in outputs.items()}, self.targets(logits, batch)[rows]

    def predict(self, logits: torch.Tensor) -> Predictions:
        """Outputs of all its losses by their full names."""
        return {key + self.suffix: value for key, value in self.outputs(logits).items()}

    def build_metrics(self) -> dict[str, Metric]:
        """Metrics of an evaluation by their full names, without any counts."""
        return {name + self.suffix: build() for name, build in self.metric_factories.items()}
