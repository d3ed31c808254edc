"""Metrics of a server, for Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_ROWS = (1, 10, 50, 100, 200, 500, 1000, 2000, 5000)
_SCORES = tuple(step / 20 for step in range(1, 20))


class Metrics:
    """Counters and histograms of one server.

    Attributes:
        registry: of all metrics of the server, also of those that other rooms count.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kind: dict[str, Any] = {"registry": self.registry, "namespace": "tzrec"}
        self._requests = Counter("requests", "Requests by protocol and status", ["protocol", "status"], **kind)
        self._stages = Histogram("stage_seconds", "Time of a stage", ["stage"], buckets=_SECONDS, **kind)
        self._batches = Histogram("batch_rows", "Rows that are scored together", ["model"], buckets=_ROWS, **kind)
        self._rows = Counter("rows", "Rows of requests", ["model"], **kind)
        self._missing = Counter("missing_values", "Rows without a value of a column", ["model", "column"], **kind)
        self._scores = _Scores()
        self.registry.register(self._scores)
        self._versions = Gauge("model_version_ready", "1 for a version that answers", ["model", "version"], **kind)

    def observe_request(self, protocol: str, status: int, seconds: float) -> None:
        """Count an answered request and its time."""
        self._requests.labels(protocol, str(status)).inc()
        self._stages.labels("request").observe(seconds)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record the time of a stage."""
        self._stages.labels(stage).observe(seconds)

    def observe_batch(self, model: str, num_rows: int, waited_s: float) -> None:
        """Record the rows of a batch, and the time that its first request waited."""
        self._batches.labels(model).observe(num_rows)
        self._stages.labels("queue").observe(waited_s)

    def observe_rows(self, model: str, rows: pa.Table) -> None:
        """Count rows, and missing values by column."""
        self._rows.labels(model).inc(rows.num_rows)
        for name in rows.column_names:
            num_missing = rows.column(name).null_count
            if num_missing:
                self._missing.labels(model, name).inc(num_missing)

    def observe_scores(self, model: str, scores: pa.Table) -> None:
        """Record the scores of rows, for each output that is one number per row."""
        for name in scores.column_names:
            if pa.types.is_floating(scores.schema.field(name).type):
                self._scores.observe(model, name, scores.column(name).to_numpy())

    def set_ready(self, model: str, version: str, is_ready: bool) -> None:
        """Record that a version answers, or no longer does."""
        self._versions.labels(model, version).set(is_ready)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Scores(Collector):
    """Histogram of scores by model and output, to which many values are added at once."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(len(_SCORES) + 1, np.int64))
        self._sums: dict[tuple[str, str], float] = defaultdict(float)
        self._lock = threading.Lock()

    def observe(self, model: str, output: str, values: np.ndarray) -> None:
        """Add values `(B,)`."""
        bins = np.bincount(np.searchsorted(_SCORES, values), minlength=len(_SCORES) + 1)
        with self._lock:
            self._counts[model, output] += bins
            self._sums[model, output] += float(values.sum())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the histogram; called by the registry."""
        family = HistogramMetricFamily("tzrec_scores", "Values of an output", labels=["model", "output"])
        with self._lock:
            for labels, counts in self._counts.items():
                limits = [*map(str, _SCORES), "+Inf"]
                buckets = list(zip(limits, np.cumsum(counts).tolist(), strict=True))
                family.add_metric(labels, buckets, self._sums[labels])
        yield family
