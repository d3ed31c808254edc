"""Head: one task, and everything that follows from its losses and its label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.losses.base import Loss
from tzrec.metrics.base import Metric

Predictions = dict[str, torch.Tensor]
"""Outputs of all tasks by name: `logits_ctr` `(B,)`, `probs_kind` `(B, C)`, `y_ltv` `(B,)`."""

Mean = Callable[[torch.Tensor], torch.Tensor]
"""From this rank's weights `(rows,)`, possibly none, to their mean over the rows of all ranks."""


def local_mean(weights: torch.Tensor) -> torch.Tensor:
    """The mean over the rows of this rank alone; 0 of none."""
    return weights.sum() / max(len(weights), 1)


@dataclass(frozen=True)
class Weighting:
    """How much each row counts in a loss: `scale w_i / mean(w)`, with 0 where the mean is 0.

    `w_i` is the sample weight, or 1, times `inside` where the indicator label is above 0 and `outside` elsewhere.
    So `inside` and `outside` only mean something relative to each other; a batch whose weights are all 0 has loss 0.

    Attributes:
        scale: factor of the whole loss.
        sample_weight: weight column; "" for none.
        indicator: label column that says which rows are in the task's space; "" for no difference.
        inside: weight of the rows in the space.
        outside: weight of the others.
    """

    scale: float = 1.0
    sample_weight: str = ""
    indicator: str = ""
    inside: float = 1.0
    outside: float = 1.0

    def per_row(self, batch: Batch, mean: Mean) -> torch.Tensor | None:
        """Normalised weights of the rows that count, `(rows,)`; None where every row counts the same."""
        weights = self._raw(batch)
        if weights is None:
            return None
        weights = weights[: batch.rows]
        average = mean(weights)
        return torch.where(average == 0, torch.zeros_like(weights), weights / average)

    def _raw(self, batch: Batch) -> torch.Tensor | None:
        weights = batch.weights[self.sample_weight] if self.sample_weight else None  # (B,)
        if not self.indicator:
            return weights
        space = torch.where(batch.labels[self.indicator] > 0, self.inside, self.outside)  # (B,)
        return space if weights is None else weights * space


@dataclass(frozen=True)
class TrainMetricFactory:
    """What makes a metric of training batches, and how it forgets.

    Attributes:
        make: makes it empty.
        decay_rate: weight of the past when a window of steps closes.
        decay_step: steps of a window.
    """

    make: Callable[[], Metric]
    decay_rate: float
    decay_step: int


@dataclass(frozen=True)
class Head:
    """One task: its losses, outputs, metrics and their names.

    Attributes:
        name: of the task; "" for the only one of a single-task model.
        label_name: its label column.
        num_class: width of its logits.
        losses: by name; several add up.
        metric_makers: by name, what makes an empty metric.
        weighting: how rows count in its losses.
        tower: arguments of the MLP in front of its logits; None for a linear alone.
        online_makers: by name, its metrics of training batches.
        factors: by name, factors of its losses; 1 where there is none.
        in_training: whether it exists in training alone: it is not evaluated, predicted or served.
    """

    name: str
    label_name: str
    num_class: int
    losses: Mapping[str, Loss]
    metric_makers: Mapping[str, Callable[[], Metric]] = field(default_factory=dict)
    weighting: Weighting = Weighting()
    tower: Mapping[str, Any] | None = None
    online_makers: Mapping[str, TrainMetricFactory] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    in_training: bool = False

    @property
    def suffix(self) -> str:
        """What its outputs, losses and metrics end in."""
        return f"_{self.name}" if self.name else ""

    @property
    def out_dim(self) -> int:
        return self.num_class

    def loss(self, logits: torch.Tensor, batch: Batch, mean: Mean = local_mean) -> dict[str, torch.Tensor]:
        """Each loss l as `factor * scale * mean_i(l_i w_i)` over the rows i of the batch that count; exactly 0 where
        there are none. See `Weighting` for `scale` and `w_i`.

        Args:
            logits: `(B, num_class)`.
            batch: where its label and its weights are.
            mean: how weights are averaged, over this rank's rows unless the caller has others to ask.

        Raises:
            DataError: the labels are no classes of this task.
        """
        logits = self.of_rows(logits, batch)
        label = batch.labels[self.label_name][: batch.rows]
        weights = self.weighting.per_row(batch, mean)
        losses = {}
        for name, loss in self.losses.items():
            per_row = self._per_row(loss, logits[: batch.rows], label, batch)  # (rows,)
            average = loss.reduced(per_row if weights is None else per_row * weights)
            losses[name + self.suffix] = average * (self.weighting.scale * self.factors.get(name, 1.0))
        return losses

    def of_rows(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """What the body gave this task, down to the logits that its losses and metrics look at, `(B, num_class)`."""
        return logits

    def _per_row(self, loss: Loss, logits: torch.Tensor, label: torch.Tensor, batch: Batch) -> torch.Tensor:
        if loss.integer_label and label.is_floating_point():
            raise DataError(
                f'label column "{self.label_name}" holds {label.dtype} values; {loss.name} needs integer class numbers'
            )
        try:
            return loss.in_batch(logits, label, batch)
        except IndexError:  # what torch says on the CPU to a class that does not exist
            low, high = int(label.min()), int(label.max())
            raise DataError(
                f'label column "{self.label_name}" holds classes from {low} to {high}; '
                f"with num_class {self.num_class} they are 0 to {self.num_class - 1}"
            ) from None

    def outputs(self, logits: torch.Tensor) -> Predictions:
        """Outputs of all its losses, without suffix, from logits `(B, num_class)`."""
        return {key: value for loss in self.losses.values() for key, value in loss.outputs(logits).items()}

    def scored(self, logits: torch.Tensor, batch: Batch) -> Predictions:
        """What its metrics look at: outputs of the rows of a batch that count, without suffix."""
        return {key: value[: batch.rows] for key, value in self.outputs(self.of_rows(logits, batch)).items()}

    def predict(self, logits: torch.Tensor) -> Predictions:
        """Outputs of all its losses, from logits `(B, num_class)`."""
        return {key + self.suffix: value for key, value in self.outputs(logits).items()}

    def metrics(self) -> dict[str, Metric]:
        """Its metrics, empty."""
        return {name + self.suffix: make() for name, make in self.metric_makers.items()}
