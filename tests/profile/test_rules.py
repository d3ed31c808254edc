from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.features.normalizer import parse_normalizer
from tzrec.profile import hyperloglog, misra_gries, quantile_sketch, rules
from tzrec.profile.column_stats import ColumnStats


def normalizer(values: np.ndarray) -> str:
    suggestion = rules.normalizer(column_stats(values))
    return "" if suggestion is None else str(suggestion.value)


def test_vocabulary_lists_values_by_frequency() -> None:
    column = column_stats(["b", "a", "b", "c", None])
    assert rules.has_few_values(column)
    assert rules.vocabulary(column).value == ["b", "a", "c"]
    assert rules.has_few_values(column_stats(np.arange(100)))
    assert not rules.has_few_values(column_stats(np.arange(101)))


@pytest.mark.parametrize(
    ("distinct", "rows", "share"),
    [(101, 510, 18), (1234, 6200, 18), (200_000, 1_000_000, 18), (500_000, 1_000_000, 39), (3_210_000, 3_300_000, 62)],
)
def test_hash_size_gives_five_rows_per_value_up_to_a_limit(
    distinct: int, rows: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ColumnStats, "distinct", distinct)
    suggestion = rules.hash_size(ColumnStats("c"))
    assert suggestion.value == rows
    assert f"{share} % of them" in suggestion.reason
    assert 100 * (1 - math.exp(-distinct / rows)) == pytest.approx(share, abs=0.5)


@pytest.mark.parametrize(("values", "dim"), [(1, 12), (100, 12), (256, 12), (257, 16), (1_000_000, 40)])
def test_embedding_dim_grows_with_the_fourth_root(values: int, dim: int) -> None:
    assert rules.embedding_dim(values).value == dim


def boundaries(values: object, buckets: int = rules.NUM_BUCKETS) -> object:
    suggestion = rules.boundaries(column_stats(values), buckets)
    return None if suggestion is None else suggestion.value


def test_boundaries_of_many_values_have_equal_frequency() -> None:
    values = np.random.default_rng(1).lognormal(size=20_000)
    edges = boundaries(values)
    counts = np.bincount(np.searchsorted(np.array(edges, np.float32), values, side="right"), minlength=16)
    assert len(counts) == 16
    np.testing.assert_allclose(counts / len(values), 1 / 16, atol=2 * 0.0025)


def test_boundaries_give_frequent_values_buckets_of_their_own() -> None:
    """Half of the values are 0: no boundary at the minimum, as no value lies below it."""
    assert boundaries([0.0] * 50 + [1.0] * 25 + [float(value) for value in range(2, 27)], 4) == [1.0]
    assert boundaries([0.0] * 990 + [float(value) for value in range(1, 11)], 4) == [1.0, 3.0, 6.0]
    assert boundaries([3.0, 7.0, 3.0, 0.1]) == [3.0, 7.0]
    assert boundaries([3.0, 3.0]) is None
    text = ColumnStats("c", as_numbers=True)
    text.add(pa.array(["3", "x", "5", "4"]))
    assert rules.boundaries(text, 3) == rules.Suggestion([4.0], "2 buckets of equal frequency")


def test_normalizer_follows_the_shape_of_the_distribution() -> None:
    rng = np.random.default_rng(1)
    normal, uniform, skewed = rng.normal(5, 2, 9000), rng.uniform(10, 90, 9000), rng.lognormal(3, 1.5, 9000)
    assert normalizer(normal) == f"method=zscore,mean={normal.mean():.6g},standard_deviation={normal.std():.6g}"
    assert normalizer(uniform) == f"method=minmax,min={uniform.min():.6g},max={uniform.max():.6g}"
    assert normalizer(skewed) == "method=log10"
    assert normalizer(-skewed).startswith("method=zscore")
    assert normalizer(rng.random(900)) == ""
    assert normalizer(np.full(9, 7.0)) == ""


def test_log10_of_zero_is_that_of_the_least_positive_number() -> None:
    values = np.append(np.random.default_rng(1).lognormal(3, 1.5, 9000), [0.0, 0.001])
    text = normalizer(values)
    assert text == "method=log10,threshold=0,default=-3"
    np.testing.assert_allclose(parse_normalizer(text)(np.array([0, 0.001, 100])), [-3, -3, 2])


def test_skewness_equals_the_quantile_formula() -> None:
    """Quantiles 1, 3, 11 of numbers: (11 + 1 - 6) / 10."""
    column = column_stats([1.0] * 6 + [3.0] * 88 + [11.0] * 6)
    skew, skew_of_logs = rules.skewness(column)
    assert skew == pytest.approx(0.6)
    assert skew_of_logs == pytest.approx((math.log(11) - 2 * math.log(3)) / math.log(11))
    assert rules.skewness(column_stats([2.0, 2.0])) == (0.0, 0.0)


def test_documentation_lists_the_constants() -> None:
    page = (Path(__file__).parents[2] / "docs" / "suggest.md").read_text()
    sentences = [
        f"at most {rules.MAX_VOCABULARY} distinct values",
        f"{rules.ROWS_PER_VALUE} rows for each value",
        f"the table stays at {rules.FULL_SIZE:,} rows",
        f"{rules.NUM_BUCKETS} buckets of equal frequency",
        f"is at least {rules.SKEWED}",
        f"within {rules.MAX_DEVIATIONS:g} standard deviations",
        f"Misra-Gries with {misra_gries.COUNTERS:,} counters",
        f"standard error {100 * hyperloglog.ERROR:.1f} %",
        f"compactors of {quantile_sketch.SIZE:,} values",
        f"ranks within {100 * quantile_sketch.ERROR:g} % of N",
    ]
    assert [sentence for sentence in sentences if sentence not in page] == []


@pytest.mark.parametrize(
    ("offset", "spread"),
    [(1.7e12, 3.6e6), (121_470_432.5, 50.0), (2.0**60, 1e6), (-5e9, 7.0), (1e-9, 1e-12), (0.0, 3.0)],
)
def test_constants_keep_six_digits_of_the_range_and_the_deviation(offset: float, spread: float) -> None:
    rng = np.random.default_rng(0)
    for values in (offset + spread * rng.random(3000), offset + spread * rng.normal(size=3000)):
        text = rules.normalizer_text("minmax", column_stats(values))
        scaled = parse_normalizer(text)(values)
        assert (scaled.min(), scaled.max()) == (pytest.approx(0, abs=2e-5), pytest.approx(1, abs=2e-5))
        text = rules.normalizer_text("zscore", column_stats(values))
        scaled = parse_normalizer(text)(values)
        assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=2e-4), pytest.approx(1, abs=2e-5))
