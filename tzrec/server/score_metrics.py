"""ScoreMetrics: distribution of the outputs, for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from tzrec.server.windowed import WindowedCounts

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BUCKETS = tuple(step / 20 for step in range(1, 20))
_POSITIVE = np.geomspace(1e-6, 1e6, 291)  # 10 % apart
EDGES = np.unique(np.concatenate([-_POSITIVE, [0.0], _POSITIVE, np.arange(1, 200) / 200, BUCKETS]).astype(np.float32))
"""Edges of fine bins: 10 % apart, and no more than 0.005 between 0 and 1; those of the histogram are among them."""
_BUCKET_BINS = np.searchsorted(EDGES, np.array(BUCKETS, np.float32))


class ScoreMetrics(Collector):
    """Histogram, mean and quantiles of the scores by model and output.

    Args:
        window_s: seconds that mean and quantiles look back.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._outputs: dict[tuple[str, str], _OutputScores] = {}
        self._lock = threading.Lock()

    def observe(self, model: str, output: str, values: npt.NDArray[np.float32]) -> None:
        """Add values `(B,)`."""
        is_finite = np.isfinite(values)
        num_nonfinite = len(values) - int(np.count_nonzero(is_finite))
        if num_nonfinite:
            values = values[is_finite]
        # (bins + 1,): counts by bin, then the sum of the values
        counts = np.empty(len(EDGES) + 2)
        counts[:-1] = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)
        counts[-1] = values.sum(dtype=np.float64)
        with self._lock:
            if (model, output) not in self._outputs:
                self._outputs[model, output] = _OutputScores(self._window_s)
            self._outputs[model, output].add(counts, num_nonfinite)

    def collect(self) -> Iterable[HistogramMetricFamily | GaugeMetricFamily | CounterMetricFamily]:
        """Yield the metrics; called by the registry."""
        labels = ["model", "output"]
        histogram = HistogramMetricFamily("tzrec_scores", "Values of an output", labels=labels)
        mean = GaugeMetricFamily("tzrec_score_mean", "Mean of an output over the window", labels=labels)
        text = "Quantile of an output over the window"
        quantiles = GaugeMetricFamily("tzrec_score_quantile", text, labels=[*labels, "quantile"])
        text = "Values of an output that are NaN or infinite"
        nonfinite = CounterMetricFamily("tzrec_nonfinite_scores", text, labels=labels)
        with self._lock:
            for names, scores in self._outputs.items():
                *counts, total = scores.total
                limits = [*map(str, BUCKETS), "+Inf"]
                histogram.add_metric(names, list(zip(limits, _cumulated(counts), strict=True)), total)
                nonfinite.add_metric(names, scores.num_nonfinite)
                *recent, recent_total = scores.recent.total()
                if sum(recent):
                    mean.add_metric(names, recent_total / sum(recent))
                    for share, value in zip(QUANTILES, quantiles_of(np.array(recent), QUANTILES), strict=True):
                        quantiles.add_metric([*names, str(share)], value)
        yield from (histogram, mean, quantiles, nonfinite)


class _OutputScores:
    def __init__(self, window_s: float) -> None:
        self.total = np.zeros(len(EDGES) + 2)
        self.recent = WindowedCounts(len(EDGES) + 2, window_s)
        self.num_nonfinite = 0

    def add(self, counts: npt.NDArray[np.float64], num_nonfinite: int) -> None:
        self.total += counts
        self.recent.add(counts)
        self.num_nonfinite += num_nonfinite


def _cumulated(counts: Sequence[float]) -> list[float]:
    """Numbers of values up to each bucket, and of all."""
    sums = np.cumsum(counts)
    cumulated: list[float] = [*sums[_BUCKET_BINS].tolist(), float(sums[-1])]
    return cumulated


def quantiles_of(counts: npt.NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """Quantiles of values that are counted by bin, linear within a bin.

    Args:
        counts: by bin of EDGES, `(len(EDGES) + 1,)`, at least one.
        shares: between 0 and 1.
    """
    sums = np.cumsum(counts)
    ranks = np.asarray(shares) * sums[-1]
    bins = np.searchsorted(sums, ranks)
    lower, upper = EDGES[np.maximum(bins - 1, 0)], EDGES[np.minimum(bins, len(EDGES) - 1)]
    before = sums[bins] - counts[bins]
    values: list[float] = (lower + (upper - lower) * (ranks - before) / np.maximum(counts[bins], 1)).tolist()
    return values
