"""Statistics of scores, against slow definitions and known values."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from tzrec.run.score_statistics import (
    accuracy,
    auc,
    auc_standard_error,
    calibration,
    intervals,
    lift,
    logloss,
    mae,
    precision_recall,
    rmse,
    score_histogram,
    segment_statistics,
    task_statistics,
    wilson,
)


def sample(num_rows: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores and labels drawn from them."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0, 1, num_rows) ** 2
    return scores, (generator.uniform(0, 1, num_rows) < scores).astype(np.float64)


def slow_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of the pairs of a positive and a negative row in the right order."""
    pairs = product(scores[labels > 0], scores[labels == 0])
    return float(np.mean([(a > b) + (a == b) / 2 for a, b in pairs]))


def test_auc_equals_share_of_ordered_pairs_with_equal_scores() -> None:
    scores, labels = sample(150)
    scores = np.sort(scores.round(1))
    assert auc(scores, labels, np.ones(150)) == pytest.approx(slow_auc(scores, labels))


def test_auc_of_weights_equals_that_of_repeated_rows() -> None:
    scores, labels = sample(60)
    order = np.argsort(scores)
    scores, labels, weights = scores[order], labels[order], np.arange(60) % 3
    repeated = np.repeat(scores, weights), np.repeat(labels, weights)
    assert auc(scores, labels, weights.astype(float)) == pytest.approx(slow_auc(*repeated))


def test_auc_of_one_class_is_nan() -> None:
    assert math.isnan(auc(np.array([0.1, 0.2]), np.zeros(2), np.ones(2)))


def test_means_of_errors_have_known_values() -> None:
    scores, labels, weights = np.array([0.5, 0.25]), np.array([1.0, 0.0]), np.array([1.0, 3.0])
    assert logloss(scores, labels, weights) == pytest.approx((math.log(2) - 3 * math.log(0.75)) / 4)
    assert rmse(scores, labels, weights) == pytest.approx(math.sqrt((0.25 + 3 / 16) / 4))
    assert mae(scores, labels, weights) == pytest.approx((0.5 + 0.75) / 4)
    assert accuracy(np.array([1.0, 2.0]), np.array([1.0, 0.0]), weights) == pytest.approx(0.25)


def test_bootstrap_interval_agrees_with_spread_of_new_samples() -> None:
    bounds = intervals("binary", *sample(1000), seed=1)["AUC"]
    values = []
    for seed in range(200):
        scores, labels = sample(1000, seed)
        order = np.argsort(scores)
        values.append(auc(scores[order], labels[order], np.ones(1000)))
    assert bounds["low"] < bounds["value"] < bounds["high"]
    assert (bounds["high"] - bounds["low"]) / (2 * 1.96 * np.std(values)) == pytest.approx(1, abs=0.2)


def test_standard_error_of_auc_agrees_with_spread_of_new_samples() -> None:
    values, errors = [], []
    for seed in range(200):
        result = segment_statistics("binary", *sample(500, seed))
        values.append(result["value"])
        errors.append(result["error"])
    assert np.mean(errors) / np.std(values) == pytest.approx(1, abs=0.2)
    assert math.isnan(auc_standard_error(0.5, 0, 10))


def test_calibration_of_calibrated_scores_covers_them() -> None:
    points = calibration(*sample(20_000))
    assert [point["rows"] for point in points] == [2000] * 10
    assert sum(point["low"] <= point["score"] <= point["high"] for point in points) >= 8
    assert [point["score"] for point in points] == sorted(point["score"] for point in points)


def test_wilson_interval_has_known_values() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 0 of 20."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_curves_of_perfect_scores() -> None:
    labels = np.repeat([0.0, 1.0], [90, 10])
    points = {round(point["rows"], 2): point["positives"] for point in lift(labels, labels)}
    assert points[0.1] == points[1.0] == 1.0
    assert points[0.0] == 0.0
    assert precision_recall(labels, labels) == [{"recall": 1.0, "precision": 1.0}]
    shares = score_histogram(labels, labels)
    assert (shares["negative"][0], shares["positive"][-1]) == (1.0, 1.0)


def test_precision_of_equal_scores_is_share_of_positives() -> None:
    assert precision_recall(np.full(8, 0.5), np.array([1.0, 0] * 4)) == [{"recall": 1.0, "precision": 0.5}]
    assert precision_recall(np.full(8, 0.5), np.zeros(8)) == []


@pytest.mark.parametrize(("kind", "names"), [("number", ["RMSE", "MAE"]), ("classes", ["accuracy"])])
def test_task_statistics_of_other_kinds(kind: str, names: list[str]) -> None:
    labels = np.arange(40.0)
    result = task_statistics(kind, labels, labels, seed=1)
    assert list(result["intervals"]) == names
    assert result["intervals"][names[0]]["value"] == (1.0 if kind == "classes" else 0.0)
    assert ("calibration" in result) == (kind == "number")
    assert result["mean_score"] == result["mean_label"] == 19.5
