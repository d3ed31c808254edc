"""Model, the base class of models, and RecModel, a model with its embeddings and heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from tzrec.config.heads import declare_heads
from tzrec.data.batch import Batch
from tzrec.embedding.assemble import LOSS_PREFIX
from tzrec.embedding.feature_dropout import FeatureDropout
from tzrec.embedding.group import Dims, Embeddings
from tzrec.heads.build import build_heads
from tzrec.heads.head import Predictions, WeightMean, local_mean
from tzrec.heads.heads import Heads
from tzrec.modules.regularizer import Regularizer
from tzrec.modules.uncertainty import Uncertainty
from tzrec.protos.model_pb2 import FeatureGroupConfig, ModelConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Tensors = dict[str, torch.Tensor]

Grouped = Tensors
"""Embedding of each feature group, `(B, width)`; for sequences see `EmbeddingGroup.forward`."""

Losses = Tensors
"""Losses by name, 0-dimensional, each a mean over the rows of one rank."""


class ModelOutput(NamedTuple):
    """Result of a forward pass.

    Attributes:
        logits: `(B, num_class)` by head; the head of a single-task model has the name "".
        auxiliary_losses: by name, one value per row `(B,)` for those that `Heads.auxiliary_losses` declares. Any other
            one is a loss that a module computes in training, 0-dimensional; it is logged and added to the total.
        embeddings: vectors by name, `(B, D)` or `(B, K, D)`: of a model that compares them, or outputs of a part.
        loss_logits: logits that losses read in place of `logits`, by head.
    """

    logits: Tensors
    auxiliary_losses: Tensors = {}  # noqa: RUF012  never modified
    embeddings: Tensors = {}  # noqa: RUF012
    loss_logits: Tensors = {}  # noqa: RUF012


GatherTensors = Callable[[Mapping[str, torch.Tensor]], Sequence[Mapping[str, torch.Tensor]]]
"""Function from named tensors of this rank to those of all ranks in rank order; all ranks call it together."""


@dataclass(frozen=True)
class ModelPart:
    """Part of a model that is exported as a package of its own.

    Attributes:
        feature_groups: groups that it reads.
        module: function from the embeddings of these groups to outputs by name; the model itself stands for the whole
            model with its heads.
    """

    feature_groups: Sequence[FeatureGroupConfig]
    module: nn.Module


class Model(nn.Module):
    """Dense part of a model, between embeddings and logits. The oneof member of a subclass names its file.

    Args:
        config: message of the model.
        dims: width of every feature group.
        heads: heads whose logits the model computes.

    Attributes:
        part_names: names of the packages that an export consists of; empty for one package with the whole model.
    """

    part_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, dims: Dims, heads: Heads) -> None:
        super().__init__()
        self.build(config, dims, heads)

    @classmethod
    def tower_groups(cls, config: Any) -> Mapping[str, Sequence[str]]:
        """Names of the groups of each tower with tables of its own; empty if all groups share tables."""
        return {}

    @classmethod
    def heads(cls, config: EasyRecConfig) -> Heads:
        """Build the heads of a config; called before the model is constructed."""
        return build_heads(declare_heads(config))

    def build(self, config: Any, dims: Dims, heads: Heads) -> None:
        """Construct the modules."""
        raise NotImplementedError

    def forward(self, grouped: Grouped) -> ModelOutput:
        """Compute the logits of every head, without branches on values, so that torch.export can trace it."""
        raise NotImplementedError

    def select_rows(self, grouped: Grouped, batch: Batch) -> Grouped:
        """Select the rows of the groups that `forward` reads, where a batch has more; never called in an export."""
        return grouped

    def score(self, output: ModelOutput, batch: Batch) -> ModelOutput:
        """Add the logits that depend on rows of other data groups; never called in an export."""
        return output

    def after_step(self, batch: Batch, gather: GatherTensors) -> None:
        """Update statistics of the training rows after an applied step; all ranks call this together."""

    def parts(self, config: ModelConfig) -> Mapping[str, ModelPart]:
        """Parts to export, one for each of `part_names`. They share the modules of this model."""
        return {}


class PartModel(Model):
    """Part of a model as a model of its own, without heads.

    Args:
        part: the part.
    """

    def __init__(self, part: ModelPart) -> None:
        nn.Module.__init__(self)
        self.module = part.module

    def forward(self, grouped: Grouped) -> ModelOutput:
        return ModelOutput({}, embeddings=self.module(grouped))


class DensePart(nn.Module):
    """Prediction from the embeddings of feature groups: the part of a model that serving exports.

    Args:
        model: computes logits.
        heads: turn logits into predictions.
        feature_dropout: applied to the groups before the model; None for none.
    """

    def __init__(self, model: Model, heads: Heads, feature_dropout: FeatureDropout | None) -> None:
        super().__init__()
        self.feature_dropout = feature_dropout
        self.model = model
        self.heads = heads

    def forward(self, grouped: Grouped) -> Predictions:
        """Map embeddings by group to the outputs of the served heads."""
        output = _forward_dense(self.model, self.feature_dropout, grouped)
        return self.heads.predict(output.logits) | output.embeddings


class RecModel(nn.Module):
    """Embeddings, dense part and heads: the module that is trained, saved and exported.

    Args:
        embedding_group: embeds the feature groups of a batch.
        model: computes logits from them.
        heads: compute losses and predictions from the logits.
        feature_dropout: applied to the groups before the model; None for none.
        regularizer: penalties in training; None for none.
        uncertainty: learned weights of the tasks in training; None for the plain sum of their losses.
    """

    def __init__(
        self,
        embedding_group: Embeddings,
        model: Model,
        heads: Heads,
        feature_dropout: FeatureDropout | None = None,
        regularizer: Regularizer | None = None,
        uncertainty: Uncertainty | None = None,
    ) -> None:
        super().__init__()
        self.embedding_group = embedding_group
        self.feature_dropout = feature_dropout
        self.model = model
        self.heads = heads
        self.regularizer = regularizer or Regularizer()
        self.uncertainty = uncertainty

    def forward(self, batch: Batch) -> ModelOutput:
        embedded = self.embedding_group(batch)
        losses = {name: embedded.pop(name) for name in list(embedded) if name.startswith(LOSS_PREFIX)}
        grouped = self.model.select_rows(embedded, batch)
        output = self.model.score(_forward_dense(self.model, self.feature_dropout, grouped), batch)
        if not self.training:
            return output
        own = {name.removeprefix(LOSS_PREFIX): loss for name, loss in losses.items()} | self._penalties(grouped, batch)
        return output._replace(auxiliary_losses=output.auxiliary_losses | own)

    def compute_losses(self, output: ModelOutput, batch: Batch, mean: WeightMean = local_mean) -> Losses:
        """Compute every loss by name, 0-dimensional; training minimizes their sum. See `Head.compute_losses`."""
        auxiliary = output.auxiliary_losses
        losses = self.heads.compute_losses({**output.logits, **output.loss_logits}, batch, mean)
        losses |= self.heads.compute_auxiliary_losses(auxiliary, batch, mean)
        if self.uncertainty is not None:
            losses["uncertainty_weighting"] = self.uncertainty(list(self.heads.task_totals(losses).values()))
        undeclared = {name: loss for name, loss in auxiliary.items() if name not in self.heads.auxiliary_losses}
        return losses | undeclared

    def predict(self, output: ModelOutput) -> Predictions:
        """Outputs of every served head by name, and embeddings."""
        return self.heads.predict(output.logits) | output.embeddings

    def dense_part(self) -> DensePart:
        """Part without the embeddings; it shares all modules with this model."""
        return DensePart(self.model, self.heads, self.feature_dropout)

    def zero_if_absent(self) -> list[str]:
        """Names of parameters that earlier versions did not have: modules list theirs in `ZERO_IF_ABSENT`."""
        modules = self.named_modules()
        return [f"{path}.{name}" for path, module in modules for name in getattr(module, "ZERO_IF_ABSENT", ())]

    def _penalties(self, grouped: Grouped, batch: Batch) -> Losses:
        rows = max(batch.rows, 1)  # the losses of a batch without rows that count have no effect
        looked_up = self.embedding_group.looked_up(grouped)
        return self.regularizer.embeddings(looked_up, rows) | self.regularizer.weights(self.model.parameters())


def _forward_dense(model: Model, feature_dropout: FeatureDropout | None, grouped: Grouped) -> ModelOutput:
    dropout_losses: Losses = {}
    if feature_dropout is not None:
        grouped, dropout_losses = feature_dropout(grouped)
    output: ModelOutput = model(grouped)
    # Under BF16 only the model computes in half precision: losses, probabilities and ranks of close scores do not.
    logits, auxiliary_losses = _at_least_float32(output.logits), _at_least_float32(output.auxiliary_losses)
    embeddings = _at_least_float32(output.embeddings)
    return ModelOutput(logits, auxiliary_losses | dropout_losses, embeddings, output.loss_logits)


def _at_least_float32(tensors: Tensors) -> Tensors:
    return {name: x.to(torch.promote_types(x.dtype, torch.float32)) for name, x in tensors.items()}
