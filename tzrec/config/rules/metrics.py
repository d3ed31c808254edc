"""Metrics: which classes they go with, and their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.rules.sparse import check_sparse
from tzrec.config.schema import fields_of

METRICS: Mapping[str, tuple[int, int | None, str]] = {
    "auc": (1, 2, "probabilities"),
    "multiclass_auc": (2, None, "probabilities"),
    "recall_at_k": (2, None, "probabilities"),
    "accuracy": (1, None, "probabilities"),
    "grouped_auc": (1, 2, "probabilities"),
    "normalized_entropy": (1, 2, "probabilities"),
    "logloss": (1, None, "probabilities"),
    "calibration": (1, 2, "probabilities"),
    "expected_calibration_error": (1, 2, "probabilities"),
    "ndcg": (1, 2, "probabilities"),
    "mrr": (1, 2, "probabilities"),
    "precision": (1, 2, "probabilities"),
    "recall": (1, 2, "probabilities"),
    "mean_absolute_error": (1, None, "values"),
    "mean_squared_error": (1, None, "values"),
    "xauc": (1, None, "values"),
    "grouped_xauc": (1, None, "values"),
}
"""metric -> least and largest num_class, and what it compares with the label"""


def check_metric(checker: Checker, path: str, metric: Any, count: int) -> None:
    """The fields of one metric of a task with `count` classes."""
    if getattr(metric, "thresholds", 2) == 1:
        checker.error(f"{path}.thresholds", "1 threshold makes no curve; use 0 for the exact area, or at least 2")
    if "average" in fields_of(metric) and metric.average not in ("macro", "weighted"):
        checker.unknown_name(f"{path}.average", "average", metric.average, ("macro", "weighted"))
    if metric.DESCRIPTOR.name in ("Accuracy", "RecallAtK") and not 1 <= metric.top_k <= max(count, 1):
        checker.error(f"{path}.top_k", f"{metric.top_k} is not in [1, {count}], the classes of this task")
    if not 0 <= getattr(metric, "threshold", 0.0) <= 1:
        checker.error(f"{path}.threshold", f"{metric.threshold:g} is not a probability")
    if not 0 < getattr(metric, "sample_ratio", 1.0) <= 1:
        checker.error(f"{path}.sample_ratio", f"{metric.sample_ratio:g} is not in (0, 1], a share of all pairs")
    if not 0 < getattr(metric, "eta", 0.1) < 0.5:
        checker.error(f"{path}.eta", f"{metric.eta:g} is not in (0, 0.5), a distance of the mean label from 0 and 1")
    for field in ("num_bins", "max_pairs_per_group"):
        if getattr(metric, field, 1) == 0:
            checker.error(f"{path}.{field}", "is 0; set it above 0")
    if "grouping_key" in fields_of(metric) and metric.HasField("grouping_key"):
        check_sparse(checker, f"{path}.grouping_key", metric.grouping_key)


def check_windows(checker: Checker, path: str, config: Any) -> None:
    """How a metric of training batches forgets."""
    if not 0 <= config.decay_rate < 1:
        checker.error(f"{path}.decay_rate", f"{config.decay_rate:g} is not in [0, 1); it is the weight of the past")
    if config.decay_step == 0:
        checker.error(f"{path}.decay_step", "0 steps; a window has at least 1")
    if config.WhichOneof("metric") == "auc" and config.auc.thresholds == 0:
        received = "0 is for the exact area, which needs all rows; over windows of training use at least 2"
        checker.error(f"{path}.auc.thresholds", received)
