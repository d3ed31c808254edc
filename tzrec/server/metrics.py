"""Metrics of a server, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from tzrec.protos.observation_pb2 import FeatureStatistics
from tzrec.server.feature_metrics import FeatureMetrics
from tzrec.server.score_metrics import ScoreMetrics
from tzrec.server.trace import current_trace

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_ROWS = (1, 10, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """Counters and histograms of one server.

    Args:
        config: of the statistics of features and scores; None for all defaults.

    Attributes:
        registry: of all metrics of the server, also of those that other rooms count.
        features: statistics of the features of requests.
    """

    def __init__(self, config: FeatureStatistics | None = None) -> None:
        config = config or FeatureStatistics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        kind: dict[str, Any] = {"registry": self.registry, "namespace": "tzrec"}
        self._requests = Counter("requests", "Requests by protocol and status", ["protocol", "status"], **kind)
        self._stages = Histogram("stage_seconds", "Time of a stage", ["stage"], buckets=_SECONDS, **kind)
        self._batches = Histogram("batch_rows", "Rows that are scored together", ["model"], buckets=_ROWS, **kind)
        self._rows = Counter("rows", "Rows of requests", ["model"], **kind)
        self._missing = Counter("missing_values", "Rows without a value of a column", ["model", "column"], **kind)
        self._scores, self.features = ScoreMetrics(config.window_s), FeatureMetrics(config)
        self.registry.register(self._scores)
        self.registry.register(self.features)
        self._versions = Gauge("model_version_ready", "1 for a version that answers", ["model", "version"], **kind)

    def observe_request(self, protocol: str, status: int, seconds: float) -> None:
        """Count an answered request and its time."""
        self._requests.labels(protocol, str(status)).inc()
        self._stages.labels("request").observe(seconds)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record the time of a stage, also for the request that this task answers."""
        self._stages.labels(stage).observe(seconds)
        trace = current_trace.get()
        if trace is not None:
            trace.stages[stage] = trace.stages.get(stage, 0.0) + seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the time of the block as that of a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe_stage(name, time.perf_counter() - start)

    def observe_batch(self, model: str, num_rows: int, waited_s: float) -> None:
        """Record the rows of a batch, and the time that its first request waited."""
        self._batches.labels(model).observe(num_rows)
        self._stages.labels("queue").observe(waited_s)

    def observe_rows(self, model: str, rows: pa.Table, user: pa.Table | None = None) -> None:
        """Count rows, and missing values by column.

        Args:
            model: name of the model.
            rows: raw columns, B rows.
            user: raw columns of one row that all rows share.
        """
        self._rows.labels(model).inc(rows.num_rows)
        for table, times in ((rows, 1), *(((user, rows.num_rows),) if user is not None else ())):
            for name in table.column_names:
                num_missing = table.column(name).null_count * times
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
