"""StoreMetrics: metrics of the feature stores, for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from tzrec.server.stores.base import StoredRows

_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


class StoreMetrics:
    """Counters of the answers of feature stores.

    Args:
        registry: of the metrics of a server.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        kind: dict[str, Any] = {"registry": registry, "namespace": "tzrec"}
        labels = ["store"]
        self._keys = Counter("store_keys", "Keys that were looked up", labels, **kind)
        self._cached = Counter("store_cached_keys", "Keys whose row was not fetched again", labels, **kind)
        self._unknown = Counter("store_unknown_keys", "Keys without a row", labels, **kind)
        self._damaged = Counter("store_damaged_values", "Rows that could not be read", labels, **kind)
        self._errors = Counter("store_errors", "Lookups without an answer", [*labels, "reason"], **kind)
        self._seconds = Histogram("store_seconds", "Time of a lookup", labels, buckets=_SECONDS, **kind)

    def observe_rows(self, store: str, rows: StoredRows) -> None:
        """Count the keys of a lookup."""
        self._keys.labels(store).inc(len(rows.is_known))
        self._cached.labels(store).inc(rows.num_cached)
        self._unknown.labels(store).inc(int((~rows.is_known).sum()))
        self._damaged.labels(store).inc(rows.num_damaged)

    def observe_time(self, store: str, seconds: float) -> None:
        """Record the time of a lookup, until its answer or its time-out."""
        self._seconds.labels(store).observe(seconds)

    def count_error(self, store: str, reason: str) -> None:
        """Count a lookup without an answer."""
        self._errors.labels(store, reason).inc()
