from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from tests.fixtures.small_model import small_encoder, small_rows
from tests.server.test_feature_observer import profile
from tzrec.protos.observation_pb2 import FeatureStatistics
from tzrec.server.feature_metrics import FeatureMetrics


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def value(metrics: FeatureMetrics, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(name, labels)


def num_observed(metrics: FeatureMetrics) -> float:
    return value(metrics, "tzrec_observed_requests_total", model="m") or 0


def test_metrics_of_a_package_that_replaces_one_of_the_same_version_stay() -> None:
    metrics = FeatureMetrics(FeatureStatistics(max_cpu_share=1, min_requests=1))
    old, new = (metrics.add("m", "1", small_encoder(), profile()) for _ in range(2))
    metrics.remove(old)
    metrics.offer(new, small_rows(20))
    wait_for(lambda: num_observed(metrics) == 1)
    assert value(metrics, "tzrec_feature_drift", model="m", version="1", feature="item") is not None
    metrics.remove(new)
    assert value(metrics, "tzrec_feature_drift", model="m", version="1", feature="item") is None
    assert num_observed(metrics) == 1
    metrics.close()


@pytest.mark.parametrize(("share", "most"), [(0.0, 0.0), (0.05, 0.2)])
def test_metrics_take_no_more_than_their_share(share: float, most: float) -> None:
    metrics = FeatureMetrics(FeatureStatistics(max_cpu_share=share))
    observer, rows = metrics.add("m", "1", small_encoder(), profile()), small_rows(200)
    observer.observe(rows)  # the first one compiles kernels
    start = time.thread_time()
    observer.observe(rows)
    cost_s = time.thread_time() - start
    before, begin = num_observed(metrics), time.monotonic()
    while time.monotonic() < begin + 1:
        metrics.offer(observer, rows)
        time.sleep(0.001)
    num_seen = num_observed(metrics) - before
    assert num_seen * cost_s <= most + cost_s
    assert (num_seen > 0) is (share > 0)
    metrics.close()


def test_metrics_go_on_after_a_request_that_cannot_be_read() -> None:
    metrics = FeatureMetrics(FeatureStatistics(max_cpu_share=1))
    observer = metrics.add("m", "1", small_encoder(), profile())
    metrics.offer(observer, small_rows(5).drop_columns(["price"]))

    def is_observed() -> bool:
        metrics.offer(observer, small_rows(5))
        return num_observed(metrics) > 0

    wait_for(is_observed)
    metrics.close()
