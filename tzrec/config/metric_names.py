"""Names of metrics in logs and results."""

from __future__ import annotations

from typing import Any, cast

from tzrec import registry
from tzrec.config.options import name_at_k
from tzrec.config.schema import descriptor_of
from tzrec.protos.metric_pb2 import MetricConfig, TrainMetricConfig


def metric_name(config: MetricConfig | TrainMetricConfig) -> str:
    """Return the name of a metric without the suffix of its task: `auc`, `recall@5`; "" if none is chosen."""
    member = registry.oneof_member(config, "metric")
    if member is None:
        return ""
    field, message = member
    name = name_at_k(descriptor_of(message))
    if not name:
        return field.name
    top_k = cast(Any, message).top_k
    return f"{name}@{top_k}" if top_k else name
