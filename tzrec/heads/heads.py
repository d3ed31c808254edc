"""Heads: the heads and the auxiliary losses of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

from tzrec.config.heads import AuxiliaryLoss
from tzrec.data.batch import Batch
from tzrec.heads.head import Head, Predictions, WeightMean, local_mean
from tzrec.heads.towers import Towers


class Heads(Mapping[str, Head]):
    """Heads by name, in the order of the config; known before the model is constructed.

    Args:
        heads: heads of the model; the head of a single-task model has the name "".
        auxiliary_losses: losses that belong to no head.

    Attributes:
        auxiliary_losses: the same by name.
    """

    def __init__(self, heads: Iterable[Head], auxiliary_losses: Iterable[AuxiliaryLoss] = ()) -> None:
        self._heads = {head.name: head for head in heads}
        self.auxiliary_losses = {loss.name: loss for loss in auxiliary_losses}

    def __getitem__(self, name: str) -> Head:
        return self._heads[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._heads)

    def __len__(self) -> int:
        return len(self._heads)

    def towers(self, in_dim: int) -> Towers:
        """Build a tower on inputs of width `in_dim` for every head that is not derived from others."""
        return Towers([head for head in self.values() if head.has_tower], in_dim)

    @property
    def served(self) -> dict[str, Head]:
        """Heads that are evaluated, predicted and exported."""
        return {name: head for name, head in self.items() if not head.is_training_only}

    @property
    def evaluated_auxiliary_losses(self) -> list[str]:
        """Names of the auxiliary losses that an evaluation reports."""
        return [name for name, loss in self.auxiliary_losses.items() if not loss.is_training_only]

    def compute_losses(
        self, logits: Mapping[str, torch.Tensor], batch: Batch, mean: WeightMean = local_mean
    ) -> dict[str, torch.Tensor]:
        """Compute the losses of all heads that have logits, 0-dimensional. See `Head.compute_losses`."""
        losses: dict[str, torch.Tensor] = {}
        for name, head_logits in logits.items():
            losses |= self[name].compute_losses(head_logits, batch, mean)
        return losses

    def compute_auxiliary_losses(
        self, row_values: Mapping[str, torch.Tensor], batch: Batch, mean: WeightMean = local_mean
    ) -> dict[str, torch.Tensor]:
        """Reduce the declared auxiliary losses of a batch, 0-dimensional.

        Args:
            row_values: values by the name of a loss, `(B,)`; names that were not declared are ignored.
            batch: batch with the sample weights.
            mean: mean of weights; by default over the rows of this rank.
        """
        declared = [loss for name, loss in self.auxiliary_losses.items() if name in row_values]
        weights = None
        if any(loss.is_sample_weighted for loss in declared):
            weights = next(iter(self.values())).weighting.row_weights(batch, mean)
        return {loss.name: _reduce(loss, row_values[loss.name][: batch.rows], weights) for loss in declared}

    def task_totals(self, losses: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Sum of the losses of each head that has any, out of the result of `compute_losses`."""
        return {
            name: torch.stack([losses[loss + head.suffix] for loss in head.losses]).sum()
            for name, head in self.items()
            if head.losses
        }

    def predict(self, logits: Mapping[str, torch.Tensor]) -> Predictions:
        """Outputs of all served heads by name."""
        predictions: Predictions = {}
        for name, head in self.served.items():
            predictions |= head.predict(logits[name])
        return predictions


def _reduce(loss: AuxiliaryLoss, values: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Loss of a batch from the values of its rows, `(rows,)`, and their weights, `(rows,)` or None."""
    values = values * loss.factor
    if loss.is_sample_weighted and weights is not None:
        values = values * weights
    if loss.reduction == "mean":
        return local_mean(values)
    return values.sum().clamp(min=1e-12).sqrt()  # the root has no gradient at 0
