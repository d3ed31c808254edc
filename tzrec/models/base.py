"""Model: what an author of a model writes; Ranker: a model with its embeddings and its tasks."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from tzrec.data.batch import Batch
from tzrec.embedding.feature_dropout import FeatureDropout
from tzrec.embedding.group import Dims, EmbeddingGroup
from tzrec.heads.build import Tasks
from tzrec.heads.head import Mean, Predictions, local_mean
from tzrec.modules.regularizer import Regularizer
from tzrec.modules.uncertainty import Uncertainty

Grouped = dict[str, torch.Tensor]
"""What the embedding of each feature group yields, `(B, width)`; for sequences see `EmbeddingGroup.forward`."""

Logits = dict[str, torch.Tensor]
"""Per task `(B, num_class)`, at least float32; the task of a single-task model has the name ""."""

Losses = dict[str, torch.Tensor]
"""Losses by name, 0-dimensional, each a mean over the rows of one rank."""


class ModelOutput(NamedTuple):
    """What a forward pass yields.

    Attributes:
        logits: of every task.
        losses: auxiliary ones, which modules on the way compute themselves and hand up; none outside of training. They
            are logged by name and added to those of the tasks. (What a body computes row by row goes through
            `Tasks.penalise`.)
    """

    logits: Logits
    losses: Losses


class Model(nn.Module):
    """The dense part of a model, between embeddings and logits. Subclasses live in the file their oneof member names.

    Args:
        config: the model's own message.
        dims: the width of every feature group.
        tasks: what is predicted.
    """

    def __init__(self, config: Any, dims: Dims, tasks: Tasks) -> None:
        super().__init__()
        self.build(config, dims, tasks)

    def build(self, config: Any, dims: Dims, tasks: Tasks) -> None:
        """Make the modules."""
        raise NotImplementedError

    def body(self, grouped: Grouped) -> Logits:
        """The forward pass; free of branches on values, so that torch.export can follow it."""
        raise NotImplementedError

    def forward(self, grouped: Grouped) -> Logits:
        return self.body(grouped)


class RecModel(nn.Module):
    """Embeddings, dense part and tasks: what is trained, saved, exported.

    Args:
        embedding_group: makes the groups.
        model: makes logits of them.
        tasks: make losses and predictions of these.
        feature_dropout: what the groups go through before the model, if anything.
        regularizer: penalties in training; None for none.
        uncertainty: how the tasks are weighed in training; None for their plain sum.
    """

    def __init__(
        self,
        embedding_group: EmbeddingGroup,
        model: Model,
        tasks: Tasks,
        feature_dropout: FeatureDropout | None = None,
        regularizer: Regularizer | None = None,
        uncertainty: Uncertainty | None = None,
    ) -> None:
        super().__init__()
        self.embedding_group = embedding_group
        self.feature_dropout = feature_dropout
        self.model = model
        self.tasks = tasks
        self.regularizer = regularizer or Regularizer()
        self.uncertainty = uncertainty

    def forward(self, batch: Batch) -> ModelOutput:
        grouped = self.embedding_group(batch)
        output = self._output(grouped)
        return output._replace(losses=output.losses | self._penalties(grouped, batch)) if self.training else output

    def losses(self, output: ModelOutput, batch: Batch, mean: Mean = local_mean) -> Losses:
        """Every loss by name, 0-dimensional; what is minimised is their sum. See `Head.loss`."""
        losses = self.tasks.losses(output.logits, batch, mean)
        if self.uncertainty is not None:
            losses["uncertainty_weighting"] = self.uncertainty(list(self.tasks.totals(losses).values()))
        return losses | output.losses

    def predict(self, output: ModelOutput) -> Predictions:
        """The outputs of every task by name."""
        return self.tasks.predict(output.logits)

    def predict_grouped(self, grouped: Grouped) -> Predictions:
        """From the outputs of the embeddings to the predictions: what serving exports."""
        return self.predict(self._output(grouped))

    def _penalties(self, grouped: Grouped, batch: Batch) -> Losses:
        rows = max(batch.rows, 1)  # the losses of a batch that does not count are not learned from
        looked_up = self.embedding_group.looked_up(grouped)
        return self.regularizer.embeddings(looked_up, rows) | self.regularizer.weights(self.model.parameters())

    def _output(self, grouped: Grouped) -> ModelOutput:
        losses: Losses = {}
        if self.feature_dropout is not None:
            grouped, losses = self.feature_dropout(grouped)
        # Under BF16 only the model is in half precision: losses, probabilities and ranks of close scores are not.
        logits = self.model(grouped)
        return ModelOutput(
            {task: each.to(torch.promote_types(each.dtype, torch.float32)) for task, each in logits.items()}, losses
        )
