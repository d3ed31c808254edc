"""Build the heads that a config declares."""

from __future__ import annotations

from functools import partial
from typing import Any

from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.heads import DeclaredHeads, HeadDeclaration
from tzrec.config.kwargs import kwargs, shortest
from tzrec.config.metric_names import metric_name
from tzrec.config.options import ANY_NUM_CLASS, ensure_num_class
from tzrec.heads.candidate_head import CandidateHead
from tzrec.heads.derived_head import DerivedHead
from tzrec.heads.domain_head import DomainHead
from tzrec.heads.head import Head, MetricFactory, TrainMetricFactory, Weighting
from tzrec.heads.heads import Heads
from tzrec.losses.base import Loss
from tzrec.protos import loss_pb2, metric_pb2
from tzrec.protos.model_pb2 import ModelConfig


def build_heads(declared: DeclaredHeads) -> Heads:
    """Build the heads of a model.

    Args:
        declared: heads and auxiliary losses, as `declare_heads` returns them for a checked config.
    """
    return Heads([_build_head(declaration) for declaration in declared.heads], declared.auxiliary_losses)


def _build_head(declaration: HeadDeclaration) -> Head:
    message = declaration.message
    # the number of candidates is that of the batch
    num_class = ANY_NUM_CLASS if declaration.candidates else message.num_class
    losses = dict(_build_loss(config, num_class) for config in message.losses)
    name, label_name = declaration.name, declaration.label_name
    if declaration.is_derived:
        return DerivedHead(name, label_name, num_class, losses={}, source_losses=losses)
    metrics = dict(_metric_factory(config, num_class) for config in message.metrics)
    train_metrics = dict(_train_metric_factory(config, num_class) for config in message.train_metrics)
    head = Head(
        name,
        label_name,
        num_class,
        losses,
        metrics,
        _weighting(declaration),
        _tower_arguments(message),
        train_metrics,
        loss_factors=dict(zip(losses, (shortest(config.weight) for config in message.losses), strict=True)),
        is_training_only=declaration.is_training_only,
        has_task_space_metrics=getattr(message, "metrics_in_task_space", False),
    )
    if declaration.candidates:
        return CandidateHead(**vars(head), is_in_batch=declaration.candidates == "in_batch")
    if not declaration.domain_name:
        return head
    return DomainHead(**vars(head), domain_name=declaration.domain_name, num_domains=declaration.num_domains)


def _weighting(declaration: HeadDeclaration) -> Weighting:
    """Weights of the rows; fields that are not set have defaults that change nothing."""
    if isinstance(declaration.message, ModelConfig):
        return Weighting(sample_weight_name=declaration.sample_weight_name)
    values = kwargs(declaration.message)
    return Weighting(
        values["weight"],
        declaration.sample_weight_name,
        values["task_space_indicator_label"],
        values["in_task_space_weight"],
        values["out_task_space_weight"],
    )


def _tower_arguments(message: Any) -> dict[str, Any] | None:
    """Arguments of the MLP of a task tower; None if it has none, as the head of model_config."""
    has_mlp = not isinstance(message, ModelConfig) and message.HasField("mlp")
    return kwargs(message.mlp) if has_mlp else None


def _build_loss(config: loss_pb2.LossConfig, num_class: int) -> tuple[str, Loss]:
    loss = registry.resolve_class(config, "loss")(**_member_arguments(config, "loss", num_class))
    return loss.name, loss


def _train_metric_factory(config: metric_pb2.TrainMetricConfig, num_class: int) -> tuple[str, TrainMetricFactory]:
    name, build = _metric_factory(config, num_class)
    return name, TrainMetricFactory(build, shortest(config.decay_rate), config.decay_step)


def _metric_factory(
    config: metric_pb2.MetricConfig | metric_pb2.TrainMetricConfig, num_class: int
) -> tuple[str, MetricFactory]:
    metric_class = registry.resolve_class(config, "metric")
    return metric_name(config), partial(metric_class, num_class, **_member_arguments(config, "metric", num_class))


def _member_arguments(config: Message, oneof: str, num_class: int) -> dict[str, Any]:
    """Return the fields of the loss or metric that is set in a oneof, for a task with `num_class` classes."""
    message = getattr(config, config.WhichOneof(oneof))
    ensure_num_class(message, num_class)
    return kwargs(message)
