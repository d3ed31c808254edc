from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tzrec.features.normalizer import parse_normalizer
from tzrec.profile import choices, hyperloglog, misra_gries, quantile_sketch
from tzrec.profile.column import ColumnStats


def stats(values: object) -> ColumnStats:
    found = ColumnStats("c")
    found.add(pa.array(values))
    return found


def normalizer(values: np.ndarray) -> str:
    choice = choices.normalizer(stats(values))
    return "" if choice is None else str(choice.value)


def test_vocabulary() -> None:
    column = stats(["b", "a", "b", "c", None])
    assert choices.has_few_values(column)
    assert choices.words(column).value == ["b", "a", "c"]
    assert choices.has_few_values(stats(np.arange(100)))
    assert not choices.has_few_values(stats(np.arange(101)))


@pytest.mark.parametrize(
    ("distinct", "rows", "share"),
    [(101, 510, 18), (1234, 6200, 18), (200_000, 1_000_000, 18), (500_000, 1_000_000, 39), (3_210_000, 3_300_000, 62)],
)
def test_hash_size(distinct: int, rows: int, share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ColumnStats, "distinct", distinct)
    choice = choices.hash_size(ColumnStats("c"))
    assert choice.value == rows
    assert f"{share} % of them" in choice.why
    assert 100 * (1 - math.exp(-distinct / rows)) == pytest.approx(share, abs=0.5)


@pytest.mark.parametrize(("values", "width"), [(1, 12), (100, 12), (256, 12), (257, 16), (1_000_000, 40)])
def test_width(values: int, width: int) -> None:
    assert choices.width(values).value == width


def edges(values: object, buckets: int = choices.BUCKETS) -> object:
    choice = choices.edges(stats(values), buckets)
    return None if choice is None else choice.value


def test_edges_have_equal_frequency() -> None:
    values = np.random.default_rng(1).lognormal(size=20_000)
    found = edges(values)
    counts = np.bincount(np.searchsorted(np.array(found, np.float32), values, side="right"), minlength=16)
    assert len(counts) == 16
    np.testing.assert_allclose(counts / len(values), 1 / 16, atol=2 * 0.0025)


def test_frequent_values_fill_buckets_of_their_own() -> None:
    """Half 0: no edge at the least value, for nothing lies below it."""
    assert edges([0.0] * 50 + [1.0] * 25 + [float(value) for value in range(2, 27)], 4) == [1.0]
    assert edges([0.0] * 990 + [float(value) for value in range(1, 11)], 4) == [1.0, 3.0, 6.0]
    assert edges([3.0, 7.0, 3.0, 0.1]) == [3.0, 7.0]
    assert edges([3.0, 3.0]) is None
    text = ColumnStats("c", as_numbers=True)
    text.add(pa.array(["3", "x", "5", "4"]))
    assert choices.edges(text, 3) == choices.FieldChoice([4.0], "2 buckets of equal frequency")


def test_normalizers() -> None:
    rng = np.random.default_rng(1)
    normal, uniform, skewed = rng.normal(5, 2, 9000), rng.uniform(10, 90, 9000), rng.lognormal(3, 1.5, 9000)
    assert normalizer(normal) == f"method=zscore,mean={normal.mean():.6g},standard_deviation={normal.std():.6g}"
    assert normalizer(uniform) == f"method=minmax,min={uniform.min():.6g},max={uniform.max():.6g}"
    assert normalizer(skewed) == "method=log10"
    assert normalizer(-skewed).startswith("method=zscore")
    assert normalizer(rng.random(900)) == ""
    assert normalizer(np.full(9, 7.0)) == ""


def test_zero_becomes_the_logarithm_of_the_least_number_above_it() -> None:
    values = np.append(np.random.default_rng(1).lognormal(3, 1.5, 9000), [0.0, 0.001])
    text = normalizer(values)
    assert text == "method=log10,threshold=0,default=-3"
    np.testing.assert_allclose(parse_normalizer(text)(np.array([0, 0.001, 100])), [-3, -3, 2])


def test_skewness() -> None:
    """Quantiles 1, 3, 11 of numbers: (11 + 1 - 6) / 10."""
    column = stats([1.0] * 6 + [3.0] * 88 + [11.0] * 6)
    found, of_logs = choices.skewness(column)
    assert found == pytest.approx(0.6)
    assert of_logs == pytest.approx((math.log(11) - 2 * math.log(3)) / math.log(11))
    assert choices.skewness(stats([2.0, 2.0])) == (0.0, 0.0)


def test_the_page_has_these_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fit.md").read_text()
    told = [
        f"at most {choices.MOST_WORDS} distinct values",
        f"{choices.ROWS_PER_VALUE} rows for each value",
        f"the table stays at {choices.FULL_SIZE:,} rows",
        f"{choices.BUCKETS} buckets of equal frequency",
        f"is at least {choices.SKEWED}",
        f"within {choices.TAILS:g} standard deviations",
        f"Misra-Gries with {misra_gries.COUNTERS:,} counters",
        f"standard error {100 * hyperloglog.ERROR:.1f} %",
        f"compactors of {quantile_sketch.SIZE:,} values",
        f"ranks within {100 * quantile_sketch.ERROR:g} % of N",
    ]
    assert [each for each in told if each not in page] == []
