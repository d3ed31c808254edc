"""Losses and metrics of a model or a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tzrec.migration.easyrec.source import Rows, Source
from tzrec.protos.loss_pb2 import LossConfig
from tzrec.protos.metric_pb2 import MetricConfig

_CROSS_ENTROPY = ("CLASSIFICATION", "CROSS_ENTROPY_LOSS", "BINARY_CROSS_ENTROPY_LOSS")


def _member(loss_type: str, num_class: int) -> str:
    """Return the loss here, which has the same name but for cross entropies; "" if there is none."""
    if loss_type in _CROSS_ENTROPY:
        return "binary_cross_entropy" if num_class == 1 else "softmax_cross_entropy"
    name = loss_type.lower()
    return name if name in LossConfig.DESCRIPTOR.fields_by_name else ""


_PARAMETERS: Mapping[str, tuple[str, Rows]] = {
    "binary_focal_loss": ("binary_focal_loss", {"gamma": ("gamma", 2.0), "alpha": "alpha"}),
    "jrc_loss": ("jrc_loss", {"session_name": "session_name", "alpha": "alpha"}),
}
"""Loss -> message with its parameters there, and its fields."""


def convert_losses(source: Source, target: Any, num_class: int) -> None:
    """Convert `losses`, or `loss_type` where there are none."""
    for entry in source.messages("losses"):
        _convert_loss(entry, target, num_class)
    if not source.has("losses"):
        _convert_loss(source, target, num_class)
    source.text("loss_type")
    if not target.losses:
        name = "binary_cross_entropy" if num_class == 1 else "softmax_cross_entropy"
        getattr(target.losses.add(), name).SetInParent()


def _convert_loss(source: Source, target: Any, num_class: int) -> None:
    kind = source.text("loss_type", "CLASSIFICATION")
    member = _member(kind, num_class)
    if not member:
        source.note("loss_type", f"{kind} has no counterpart")
        return
    loss = target.losses.add()
    parameters = getattr(loss, member)
    parameters.SetInParent()
    if member in _PARAMETERS:
        name, rows = _PARAMETERS[member]
        settings = source.message(name)
        if settings is not None:
            settings.copy(parameters, rows)
    is_entry = "losses" in source.path.rpartition(".")[2]
    if is_entry and source.number("weight", 1.0) != 1:
        loss.weight = source.number("weight", 1.0)
    if "label_smoothing" in parameters.DESCRIPTOR.fields_by_name:
        source.copy(parameters, {"label_smoothing": "label_smoothing"})


def _auc(source: Source, metrics: Any) -> None:
    metric = metrics.add().auc
    metric.SetInParent()
    source.copy(metric, {"num_thresholds": "thresholds"})


def _grouped(source: Source, metrics: Any) -> None:
    metric = metrics.add().grouped_auc
    metric.grouping_key = source.text("uid_field") or source.text("session_id_field")
    if source.text("reduction", "mean") != "mean":
        source.note("reduction", "groups have equal weights here")


def _recall_at_k(source: Source, metrics: Any) -> None:
    source.copy(metrics.add().recall_at_k, {"topk": ("top_k", 5)})


def _same(name: str) -> Callable[[Source, Any], None]:
    return lambda source, metrics: getattr(metrics.add(), name).SetInParent()


def _root_mean_squared_error(source: Source, metrics: Any) -> None:
    source.remark("the root of the error has no counterpart; mean_squared_error is its square")
    metrics.add().mean_squared_error.SetInParent()


_METRICS: Mapping[str, Callable[[Source, Any], None]] = {
    "auc": _auc,
    "gauc": _grouped,
    "session_auc": _grouped,
    "recall_at_topk": _recall_at_k,
    "root_mean_squared_error": _root_mean_squared_error,
}
"""Function by metric; metrics without one have the same name here, or no counterpart."""


def convert_metrics(source: Source, target: Any) -> None:
    """Convert `metrics_set`."""
    for entry in source.messages("metrics_set"):
        for name in entry.names():
            is_same = name in MetricConfig.DESCRIPTOR.fields_by_name
            convert = _METRICS.get(name) or (_same(name) if is_same else None)
            if convert is None:
                entry.note(name, f"the metric {name} has no counterpart")
                continue
            settings = entry.message(name)
            assert settings is not None
            convert(settings, target.metrics)
