"""FeatureMetrics: statistics of the features of requests by model, for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pyarrow as pa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tzrec.errors import TzrecError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.training_profile import TrainingProfile
from tzrec.protos.observation_pb2 import FeatureStatistics
from tzrec.server.feature_observer import FeatureObserver, ModelTotals


class FeatureMetrics(Collector):
    """Looks at requests in a thread, as many as a share of one CPU allows.

    After a look that took c seconds of CPU time, none is taken for c / share seconds. So a server with few requests
    looks at all of them, and one that is busy loses no more than this share.

    Args:
        config: share, and window of the drift.
    """

    def __init__(self, config: FeatureStatistics) -> None:
        self._config = config
        self._observers: dict[tuple[str, str], FeatureObserver] = {}
        self._totals: dict[str, ModelTotals] = {}
        self._lock = threading.Lock()
        self._request: tuple[FeatureObserver, pa.Table, pa.Table | None] | None = None
        self._next_at, self._is_closed = 0.0, False
        self._arrived = threading.Event()
        self._thread = threading.Thread(target=self._run, name="features", daemon=True)

    def add(
        self, model: str, version: str, encoder: FeatureEncoder, profile: TrainingProfile | None
    ) -> FeatureObserver:
        """Add a version of a model; returns its observer, to which its requests are offered."""
        with self._lock:
            observer = FeatureObserver(encoder, profile, self._config, self._totals.setdefault(model, ModelTotals()))
            self._observers[model, version] = observer
            if not self._thread.is_alive():
                self._thread.start()
        return observer

    def remove(self, observer: FeatureObserver) -> None:
        """Remove a version; counts of the model stay, and so does a package that has taken the place of this one."""
        with self._lock:
            self._observers = {names: other for names, other in self._observers.items() if other is not observer}

    def offer(self, observer: FeatureObserver, rows: pa.Table, user: pa.Table | None = None) -> None:
        """Look at a request if it is time for one; see `FeatureObserver.observe`. Returns at once."""
        if self._request is None and time.monotonic() >= self._next_at and self._config.max_cpu_share:
            self._request = observer, rows, user
            self._arrived.set()

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._arrived.set()
        if self._thread.is_alive():
            self._thread.join()

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the metrics; called by the registry."""
        labels = ["model", "feature"]
        text = "Rows of requests in which a feature was looked for"
        rows = CounterMetricFamily("tzrec_feature_rows", text, labels=labels)
        missing = CounterMetricFamily("tzrec_feature_missing_rows", "Of them, rows without a value", labels=labels)
        values = CounterMetricFamily("tzrec_feature_values", "Values looked up in a vocabulary", labels=labels)
        text = "Of them, values that are not listed"
        unlisted = CounterMetricFamily("tzrec_feature_out_of_vocabulary_values", text, labels=labels)
        text = "Population stability index against the training data over the window"
        drift = GaugeMetricFamily("tzrec_feature_drift", text, labels=["model", "version", "feature"])
        requests = CounterMetricFamily("tzrec_observed_requests", "Requests that were looked at", labels=labels[:1])
        with self._lock:
            totals, observers = dict(self._totals), dict(self._observers)
        for model, counts in totals.items():
            requests.add_metric([model], counts.requests)
            for name, feature in dict(counts.features).items():
                rows.add_metric([model, name], feature.rows)
                missing.add_metric([model, name], feature.missing)
                if feature.values:
                    values.add_metric([model, name], feature.values)
                    unlisted.add_metric([model, name], feature.unlisted)
        for (model, version), observer in observers.items():
            for name, index in observer.drift().items():
                drift.add_metric([model, version, name], index)
        yield from (rows, missing, values, unlisted, drift, requests)

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            if self._is_closed:
                return
            self._arrived.clear()
            if self._request is None:
                continue
            start, (observer, rows, user) = time.thread_time(), self._request
            try:
                observer.observe(rows, user)
            except TzrecError:  # the request was refused for the same reason
                pass
            finally:
                self._next_at = time.monotonic() + (time.thread_time() - start) / self._config.max_cpu_share
                self._request = None
