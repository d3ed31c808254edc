from __future__ import annotations

import numpy as np
import pytest

from tzrec.profile.feature_bins import (
    MAX_VALUES,
    NUM_HASHES,
    FeatureBins,
    FeatureProfile,
    first_values,
    stability_index,
)


def test_fit_numbers_gives_bins_of_equal_share() -> None:
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    profile = FeatureProfile.of([values[:3000], values[3000:]], num_empty=7)
    assert profile.bins.num_bins == 11 and profile.counts[-1] == 7
    assert profile.counts[:-1].tolist() == pytest.approx([1000] * 10, abs=1)


def test_fit_repeated_number_gives_it_a_bin_of_its_own() -> None:
    values = np.array([0.0] * 80 + list(range(1, 21)), np.float32)
    bins = FeatureBins.fit(values)
    counts = bins.count(np.array([-1, 0, 0, 0.5], np.float32), 0)
    assert sorted(counts[counts > 0].tolist()) == [1, 1, 2]
    constant = FeatureBins.fit(np.full(5, 2.0, np.float32))
    assert constant.count(np.array([1, 2, 2, 2.5], np.float32), 3).tolist() == [1, 2, 1, 3]


def test_fit_ids_gives_frequent_ones_bins_and_hashes_the_others() -> None:
    values = np.array([7] * 50 + [3] * 30 + list(range(1000, 1400)), np.int64)
    bins = FeatureBins.fit(values)
    assert bins.ids is not None and bins.ids.tolist() == [3, 7] and bins.num_bins == 2 + NUM_HASHES + 1
    counts = bins.count(values, num_empty=4)
    assert counts[:2].tolist() == [30, 50] and counts.sum() == len(values) + 4
    assert (counts[2:-1] > 25).all()  # about 50 each
    assert bins.count(np.array([3, 3, 2**62], np.int64), 0)[0] == 2


@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_fit_without_values_counts_any(kind: type) -> None:
    profile = FeatureProfile.of([np.empty(0, kind)], num_empty=5)
    assert profile.counts.sum() == profile.counts[-1] == 5
    assert profile.bins.count(np.array([1, 2], kind), 1).sum() == 3


def test_fit_leaves_numbers_that_are_not_finite_out() -> None:
    bins = FeatureBins.fit(np.array([1, 2, np.nan, np.inf], np.float32))
    assert bins.edges is not None and np.isfinite(bins.edges).all()
    assert bins.count(np.array([np.nan, np.inf], np.float32), 0).sum() == 2


def test_count_equals_a_loop() -> None:
    rng = np.random.default_rng(1)
    ids, numbers = rng.integers(0, 40, 500), rng.normal(size=500).astype(np.float32)
    for values in (ids, numbers):
        bins = FeatureBins.fit(values)
        expected = np.zeros(bins.num_bins, np.int64)
        for value in values:
            expected += bins.count(np.array([value]), 0)
        assert bins.count(values, 0).tolist() == expected.tolist()


def test_json_form_keeps_the_bins() -> None:
    for values in (np.arange(30), np.linspace(0, 1, 30, dtype=np.float32)):
        bins = FeatureBins.fit(values)
        assert FeatureBins.from_json(bins.to_json()).count(values, 2).tolist() == bins.count(values, 2).tolist()


def test_stability_index_is_small_for_equal_and_large_for_shifted_values() -> None:
    rng = np.random.default_rng(2)
    training, same = (rng.normal(size=5000).astype(np.float32) for _ in range(2))
    profile = FeatureProfile.of([training], 0)
    assert stability_index(profile.counts, profile.counts) == 0.0
    assert stability_index(profile.counts, profile.bins.count(same, 0)) < 0.01
    assert stability_index(profile.counts, profile.bins.count(same + 1, 0)) > 0.5
    missing = profile.bins.count(same[:2500], 2500)
    assert stability_index(profile.counts, missing) > 1.0


def test_stability_index_equals_its_formula() -> None:
    # with half a count in each bin: p = 10.5 / 31, 20.5 / 31; q = 20.5 / 31, 10.5 / 31
    value = stability_index(np.array([10, 20]), np.array([20, 10]))
    assert value == pytest.approx(2 * 10 / 31 * np.log(20.5 / 10.5))


def test_first_values_takes_whole_rows() -> None:
    lengths = np.array([1000, 0, 24, 0, 1, 0], np.int32)
    values, num_empty = first_values(np.arange(1025), lengths)
    assert values.tolist() == list(range(1024)) and num_empty == 2  # the last empty row comes after the cut
    assert first_values(np.arange(3000), np.array([3000], np.int32))[0].tolist() == list(range(MAX_VALUES))
    assert [len(first_values(np.zeros((n, 512), np.float32))[0]) for n in (1, 5)] == [512, 1024]
    assert first_values(np.arange(0), np.array([0, 0], np.int32))[1] == 2
    assert first_values(np.arange(0), np.array([], np.int32))[1] == 0


def test_first_values_of_few_and_many_rows_have_the_same_distribution() -> None:
    """Long rows are cut after 1024 values; the share of empty rows must not depend on it."""
    rng = np.random.default_rng(3)
    lengths = np.where(rng.random(256) < 0.25, 0, 50).astype(np.int32)
    values = rng.integers(0, 10, lengths.sum())
    profile = FeatureProfile.of([values[:0]], 0)
    whole = profile.bins.count(*first_values(values, lengths))
    few = sum(
        profile.bins.count(*first_values(values[lengths[:at].sum() :], lengths[at : at + 8])) for at in range(0, 256, 8)
    )
    assert whole[-1] / whole.sum() == pytest.approx(few[-1] / few.sum(), rel=0.5)
