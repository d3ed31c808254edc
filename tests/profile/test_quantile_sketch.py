from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tzrec.profile.quantile_sketch import ERROR, SIZE, QuantileSketch

SHARES = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999]


def sketch(values: np.ndarray, pieces: int, seed: int = 1) -> QuantileSketch:
    quantiles = QuantileSketch(seed)
    for piece in np.array_split(values, pieces):
        quantiles.add(piece.astype(np.float64))
    return quantiles


def max_rank_error(quantiles: QuantileSketch, values: np.ndarray) -> float:
    """Largest difference between a requested share and the share of values up to, or below, the answer."""
    ordered = np.sort(values)
    answers = quantiles.at(SHARES)
    below, upto = (np.searchsorted(ordered, answers, side=side) / len(values) for side in ("left", "right"))
    shares = np.array(SHARES)
    return float(np.maximum(below - shares, shares - upto).max())


def test_few_values_are_exact() -> None:
    quantiles = sketch(np.array([3.0, 1.0, 2.0, 10.0]), 2)
    assert quantiles.at([0.0, 0.25, 0.26, 0.5, 0.75, 1.0]) == [1.0, 1.0, 2.0, 2.0, 3.0, 10.0]
    assert math.isnan(QuantileSketch().at([0.5])[0])


@pytest.mark.parametrize("pieces", [1, 40])
@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.lognormal(sigma=3, size=500_000),
        lambda rng: rng.zipf(1.3, 500_000).clip(max=1 << 50),  # half of all are 1s and 2s
        lambda rng: np.arange(500_000),
        lambda rng: -np.arange(500_000),
    ],
)
def test_ranks_lie_within_the_bound(make: Callable[[np.random.Generator], np.ndarray], pieces: int) -> None:
    values = make(np.random.default_rng(3))
    quantiles = sketch(values, pieces)
    assert quantiles.count == len(values)
    assert max_rank_error(quantiles, values) <= ERROR


def test_bound_holds_for_all_of_thirty_seeds_and_is_not_loose() -> None:
    values = np.random.default_rng(3).lognormal(size=100_000)
    errors = [max_rank_error(sketch(values, 20, seed), values) for seed in range(30)]
    assert max(errors) <= ERROR
    assert max(errors) > ERROR / 20


def test_merge_stays_within_the_bound() -> None:
    values = np.random.default_rng(4).lognormal(size=400_000)
    first, second = sketch(values[:100_000], 9), sketch(values[100_000:], 30, seed=2)
    first.merge(second)
    assert first.count == len(values)
    assert max_rank_error(first, values) <= ERROR


def test_memory_is_bounded() -> None:
    quantiles = sketch(np.random.default_rng(5).random(2_000_000), 60)
    assert sum(map(len, quantiles._levels)) <= SIZE * (math.log2(2_000_000 / SIZE) + 2)
