from __future__ import annotations

import numpy as np
import pytest

from tzrec.profile.hyperloglog import ERROR, HyperLogLog, mix


def sketch(values: np.ndarray, pieces: int = 7) -> HyperLogLog:
    registers = HyperLogLog()
    for piece in np.array_split(values, pieces):
        registers.add(mix(piece))
    return registers


@pytest.mark.parametrize("count", [0, 1, 10, 1000, 20_000, 40_000, 80_000, 1_000_000])
def test_estimate_lies_within_three_standard_errors(count: int) -> None:
    estimate = sketch(np.arange(count)).estimate()
    assert abs(estimate - count) <= max(3 * ERROR * count, 0.5)


def test_error_and_bias_are_those_of_the_paper() -> None:
    """Over 60 sets of 30,000 values, where the classic estimator is biased."""
    ratios = np.array([sketch(np.arange(30_000) + (i << 40), 1).estimate() / 30_000 for i in range(60)])
    assert abs(ratios.mean() - 1) < 3 * ERROR / np.sqrt(60)
    assert 0.6 * ERROR < ratios.std() < 1.4 * ERROR


def test_estimate_does_not_depend_on_frequencies() -> None:
    values = np.random.default_rng(1).zipf(1.1, 300_000).clip(max=1 << 60)
    exact = len(np.unique(values))
    assert abs(sketch(values).estimate() / exact - 1) < 3 * ERROR
    assert sketch(values).estimate() == sketch(np.unique(values)).estimate()


def test_merge_equals_adding_all_values() -> None:
    both = sketch(np.arange(60_000))
    first, second = sketch(np.arange(40_000)), sketch(np.arange(20_000, 60_000))
    first.merge(second)
    assert first.estimate() == both.estimate()


def test_mix_equals_splitmix64() -> None:
    """The first outputs of the generator with seed 0, whose state grows by 0x9E3779B97F4A7C15 each time."""
    seeds = np.array([0, 0x9E3779B97F4A7C15], np.uint64).view(np.int64)
    assert [hex(value) for value in mix(seeds)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]
