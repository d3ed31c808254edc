from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from tzrec.server.score_metrics import BUCKETS, QUANTILES, ScoreMetrics


def observed(*batches: np.ndarray) -> CollectorRegistry:
    metrics, registry = ScoreMetrics(3600), CollectorRegistry()
    registry.register(metrics)
    for values in batches:
        metrics.observe("m", "probs", values.astype(np.float32))
    return registry


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).beta(1, 40, 50_000),  # click rates
        np.random.default_rng(1).normal(0, 3, 50_000),  # logits
        np.random.default_rng(2).lognormal(3, 2, 50_000),  # values
    ],
    ids=["rates", "logits", "values"],
)
def test_quantiles_are_near_those_of_all_values(values: np.ndarray) -> None:
    registry = observed(*np.split(values, 10))
    names = {"model": "m", "output": "probs"}
    for share in QUANTILES:
        value = registry.get_sample_value("tzrec_score_quantile", {**names, "quantile": str(share)})
        assert value == pytest.approx(np.quantile(values, share), rel=0.1, abs=1e-3)
    assert registry.get_sample_value("tzrec_score_mean", names) == pytest.approx(values.mean(), rel=1e-4)


def test_histogram_counts_values_up_to_each_bucket() -> None:
    values = np.concatenate([np.random.default_rng(3).random(1000), BUCKETS, [-1, 0, 1, 2]]).astype(np.float32)
    registry = observed(values)
    names = {"model": "m", "output": "probs"}
    for limit in BUCKETS:
        count = registry.get_sample_value("tzrec_scores_bucket", {**names, "le": str(limit)})
        assert count == (values <= limit).sum(), limit
    assert registry.get_sample_value("tzrec_scores_count", names) == len(values)
    assert registry.get_sample_value("tzrec_scores_sum", names) == pytest.approx(values.sum(), rel=1e-5)


def test_scores_that_are_not_finite_are_counted_apart() -> None:
    registry = observed(np.array([np.nan, 0.5, np.inf]), np.array([np.nan]))
    names = {"model": "m", "output": "probs"}
    assert registry.get_sample_value("tzrec_nonfinite_scores_total", names) == 3
    assert registry.get_sample_value("tzrec_scores_count", names) == 1
    assert registry.get_sample_value("tzrec_score_mean", names) == 0.5


def test_no_scores_have_no_metrics() -> None:
    registry = observed(np.array([np.nan]))
    assert registry.get_sample_value("tzrec_score_mean", {"model": "m", "output": "probs"}) is None
