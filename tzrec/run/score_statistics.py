"""Statistics of the scores of one task on a sample of rows: intervals, calibration, lift, precision and recall.

All functions take numpy arrays of the rows and return JSON values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]
Statistic = Callable[[Floats, Floats, Weights], float]
"""Function of scores, labels and the number of times that each row counts."""

NUM_RESAMPLES = 200
_LEVEL = 0.95
_NUM_CALIBRATION_BINS = 10
_NUM_SCORE_BINS = 24
_NUM_CURVE_POINTS = 60
_EPSILON = 1e-7


def auc(scores: Floats, labels: Floats, weights: Weights) -> float:
    """Area under the ROC curve, equal scores counted half; nan without both classes. Scores are ascending."""
    is_start = np.concatenate([[True], scores[1:] != scores[:-1]])
    starts = np.flatnonzero(is_start)
    positive = np.add.reduceat(weights * labels, starts)
    negative = np.add.reduceat(weights * (1 - labels), starts)
    below = np.cumsum(negative) - negative
    total = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / total) if total else math.nan


def logloss(scores: Floats, labels: Floats, weights: Weights) -> float:
    """Mean binary cross-entropy of probabilities."""
    clipped = np.clip(scores, _EPSILON, 1 - _EPSILON)
    return _mean(-np.where(labels > 0, np.log(clipped), np.log1p(-clipped)), weights)


def rmse(scores: Floats, labels: Floats, weights: Weights) -> float:
    """Root of the mean squared error."""
    return math.sqrt(_mean((scores - labels) ** 2, weights))


def mae(scores: Floats, labels: Floats, weights: Weights) -> float:
    """Mean absolute error."""
    return _mean(np.abs(scores - labels), weights)


def accuracy(scores: Floats, labels: Floats, weights: Weights) -> float:
    """Share of the rows whose class `scores` is the label."""
    return _mean((scores == labels).astype(np.float64), weights)


STATISTICS: Mapping[str, Mapping[str, Statistic]] = {
    "binary": {"AUC": auc, "logloss": logloss},
    "number": {"RMSE": rmse, "MAE": mae},
    "classes": {"accuracy": accuracy},
}
"""Kind of task -> statistics by name."""


def _mean(values: Floats, weights: Weights) -> float:
    return float((values * weights).sum() / max(weights.sum(), _EPSILON))


def intervals(kind: str, scores: Floats, labels: Floats, seed: int) -> dict[str, dict[str, float]]:
    """Compute each statistic of a kind of task, with the 95 % interval of the bootstrap over rows.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentiles of resampled rows. Rows of
    one user are resampled one by one, so that the interval is too narrow where they are alike.

    Returns:
        `value`, `low` and `high` by name.
    """
    order = np.argsort(scores, kind="stable")
    scores, labels, generator = scores[order], labels[order], np.random.default_rng(seed)
    num_rows = len(scores)
    resamples = [
        np.bincount(generator.integers(0, num_rows, num_rows), minlength=num_rows).astype(np.float64)
        for _ in range(NUM_RESAMPLES)
    ]
    results = {}
    for name, statistic in STATISTICS[kind].items():
        values = np.array([statistic(scores, labels, weights) for weights in resamples])
        value = statistic(scores, labels, np.ones(num_rows))
        bounds = [0.5 - _LEVEL / 2, 0.5 + _LEVEL / 2]
        low, high = np.nanquantile(values, bounds) if np.isfinite(values).any() else (math.nan, math.nan)
        results[name] = {"value": value, "low": float(low), "high": float(high)}
    return results


def calibration(scores: Floats, labels: Floats) -> list[dict[str, float]]:
    """Mean score and mean label of about ten groups of rows with equally many rows, by rising score.

    `low` and `high` are the 95 % interval of Wilson for the share of positive labels.
    """
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _NUM_CALIBRATION_BINS) if len(group)]
    points = []
    for group in groups:
        share, count = float(labels[group].mean()), len(group)
        low, high = wilson(share, count)
        points.append({"score": float(scores[group].mean()), "label": share, "low": low, "high": high, "rows": count})
    return points


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` rows. Wilson, JASA 22 (1927)."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def score_histogram(scores: Floats, labels: Floats) -> dict[str, list[float]]:
    """Share of the rows of each class in equal intervals of the score."""
    edges = np.linspace(float(scores.min()), max(float(scores.max()), float(scores.min()) + 1e-6), _NUM_SCORE_BINS + 1)
    counts = {name: np.histogram(scores[rows], edges)[0] for name, rows in _classes(labels).items()}
    shares = {name: (values / max(values.sum(), 1)).tolist() for name, values in counts.items()}
    return {"edges": edges.tolist(), **shares}


def _classes(labels: Floats) -> dict[str, npt.NDArray[np.bool_]]:
    return {"positive": labels > 0, "negative": labels <= 0}


def lift(scores: Floats, labels: Floats) -> list[dict[str, float]]:
    """Share of all positive labels in the rows with the highest scores, at shares of the rows from 0 to 1."""
    counts = np.concatenate([[0.0], np.cumsum(labels[np.argsort(-scores, kind="stable")])])
    at = np.unique(np.linspace(0, len(scores), _NUM_CURVE_POINTS).round().astype(int))
    return [{"rows": float(n / len(scores)), "positives": float(counts[n] / max(counts[-1], 1))} for n in at]


def precision_recall(scores: Floats, labels: Floats) -> list[dict[str, float]]:
    """Precision at rising recall, of thresholds between different scores."""
    order = np.argsort(-scores, kind="stable")
    ranked, positives = scores[order], np.cumsum(labels[order])
    ends = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))
    if not positives[-1]:
        return []
    recall, precision = positives[ends] / positives[-1], positives[ends] / (ends + 1)
    chosen = np.unique(np.searchsorted(recall, np.linspace(0.01, 1, _NUM_CURVE_POINTS)).clip(max=len(recall) - 1))
    return [{"recall": float(recall[at]), "precision": float(precision[at])} for at in chosen]


def task_statistics(kind: str, scores: Floats, labels: Floats, seed: int) -> dict[str, Any]:
    """Statistics of one task with at least one row.

    Args:
        kind: a key of STATISTICS.
        scores: probability of a positive label, predicted number, or predicted class, `(N,)`.
        labels: `(N,)`.
        seed: of the resampling.
    """
    result: dict[str, Any] = {
        "kind": kind,
        "num_rows": len(scores),
        "mean_score": float(scores.mean()),
        "mean_label": float(labels.mean()),
        "intervals": intervals(kind, scores, labels, seed),
    }
    if kind == "number":
        result["calibration"] = [
            {key: value for key, value in point.items() if key not in ("low", "high")}
            for point in _number_calibration(scores, labels)
        ]
    if kind == "binary":
        result |= {
            "calibration": calibration(scores, labels),
            "histogram": score_histogram(scores, labels),
            "lift": lift(scores, labels),
            "precision_recall": precision_recall(scores, labels),
        }
    return result


def _number_calibration(scores: Floats, labels: Floats) -> list[dict[str, float]]:
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, _NUM_CALIBRATION_BINS) if len(group)]
    return [
        {"score": float(scores[group].mean()), "label": float(labels[group].mean()), "rows": len(group)}
        for group in groups
    ]


def segment_statistics(kind: str, scores: Floats, labels: Floats) -> dict[str, float]:
    """First statistic of a kind of task on the rows of a segment, with mean score and mean label."""
    name, statistic = next(iter(STATISTICS[kind].items()))
    order = np.argsort(scores, kind="stable")
    value = statistic(scores[order], labels[order], np.ones(len(scores)))
    error = auc_standard_error(value, int(labels.sum()), len(labels)) if name == "AUC" else math.nan
    return {"value": value, "error": error, "mean_score": float(scores.mean()), "mean_label": float(labels.mean())}


def auc_standard_error(value: float, num_positive: int, num_rows: int) -> float:
    """Standard error of an AUC. Hanley and McNeil, Radiology 143 (1982)."""
    num_negative = num_rows - num_positive
    if not (num_positive and num_negative):
        return math.nan
    two_positive, two_negative = value / (2 - value), 2 * value * value / (1 + value)
    variance = value * (1 - value) + (num_positive - 1) * (two_positive - value * value)
    variance += (num_negative - 1) * (two_negative - value * value)
    return math.sqrt(max(variance, 0.0) / (num_positive * num_negative))
