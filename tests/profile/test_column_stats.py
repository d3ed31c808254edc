from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.errors import DataError
from tzrec.profile import hyperloglog, quantile_sketch
from tzrec.profile.misra_gries import FrequentItem
from tzrec.profile.moments import Moments


def test_numbers_are_counted_and_measured() -> None:
    stats = column_stats([3, None, 1], [3])
    assert (stats.rows, stats.missing, stats.values, stats.numbers) == (4, 1, 3, 3)
    assert stats.is_numeric and stats.is_whole and stats.is_exact
    assert stats.distinct == 2
    assert stats.top(1) == [FrequentItem("3", 2, 2)]
    assert stats.quantiles([0.3, 0.5, 1]) == [1, 3, 3]
    assert (stats.moments.mean, stats.moments.least, stats.moments.most) == (pytest.approx(7 / 3), 1, 3)
    assert stats.widths == (1, 1)
    assert stats.kind == pa.int64()


def test_nan_and_infinity_are_values_but_no_numbers() -> None:
    stats = column_stats([1.5, math.nan, math.inf, -0.0, 0.0])
    assert (stats.values, stats.numbers, stats.is_numeric, stats.is_whole) == (5, 3, False, False)
    assert stats.moments.mean == pytest.approx(0.5)
    assert column_stats([1.0, -2.0]).is_whole
    assert not column_stats([1.0, math.inf]).is_numeric


def test_text_with_several_values_is_split() -> None:
    stats = column_stats(["a\x1db", "", None, "b"])
    assert (stats.rows, stats.missing, stats.values, stats.widths) == (4, 2, 3, (1, 2))
    assert stats.top(2) == [FrequentItem("b", 2, 2), FrequentItem("a", 1, 1)]
    assert not stats.is_numeric and not stats.is_whole


def test_text_of_numbers_is_numeric() -> None:
    integers = column_stats(["3", "4"], [None, "5"])
    assert integers.is_numeric and integers.is_whole
    assert column_stats(["3", "4.5"]).is_numeric and not column_stats(["3", "4.5"]).is_whole
    mixed = column_stats(["3", "x"], ["4"])
    assert not mixed.is_numeric and mixed.numbers == 1
    assert column_stats(["3", "x"], ["4"], as_numbers=True).numbers == 2


def test_elements_of_sequences_are_values_of_the_row() -> None:
    text = column_stats(["1|2;3", ";;4", None], separators=(";", "|"))
    nested = column_stats(pa.array([[["1", "2"], ["3"]], [[], ["4"]], None]))
    numbers = column_stats(pa.array([[[1, 2], [3]], [[], [4]], None]))
    for stats in (text, nested, numbers):
        assert (stats.rows, stats.missing, stats.values, stats.widths) == (3, 1, 4, (1, 3))
        assert stats.moments.mean == 2.5


def test_estimates_of_skewed_data_lie_within_their_bounds() -> None:
    rng = np.random.default_rng(1)
    values = rng.zipf(1.2, 200_000).clip(max=1 << 50)
    words = pa.array(np.char.add("w", values.astype(str)))
    numbers, text = column_stats(*np.array_split(values, 6)), column_stats(words[:90_000], words[90_000:])
    exact = len(np.unique(values))
    for stats in (numbers, text):
        assert not stats.is_exact
        assert abs(stats.distinct / exact - 1) < 3 * hyperloglog.ERROR
    assert numbers.moments.mean == pytest.approx(values.mean())
    assert numbers.moments.deviation == pytest.approx(values.std())
    share = (values <= numbers.quantiles([0.9])[0]).mean()
    assert share >= 0.9 - quantile_sketch.ERROR
    best = text.top(1)[0]
    assert best.value == "w1"
    assert best.at_least <= (values == 1).sum() <= best.at_most


def test_weights_are_not_counted_as_values() -> None:
    for stats in (
        column_stats(["a:0.5\x1db", "a:2"], weighted=True),
        column_stats(["a:1;b", "a:2"], separators=(";", "|"), weighted=True),
    ):
        assert stats.top(3) == [FrequentItem("a", 2, 2), FrequentItem("b", 1, 1)]


def test_merge_equals_adding_all_rows() -> None:
    pieces = [[3.0, None], [None], [1.5, 7.0, 3.0], [-2.0]]
    both, first, second = column_stats(*pieces), column_stats(*pieces[:1]), column_stats(*pieces[1:])
    first.merge(column_stats())
    first.merge(second)
    for name in ("kind", "rows", "missing", "values", "numbers", "widths", "is_whole", "distinct"):
        assert getattr(first, name) == getattr(both, name), name
    assert vars(first.moments) == pytest.approx(vars(both.moments))
    assert first.top(9) == both.top(9)
    assert first.quantiles([0.2, 0.9]) == both.quantiles([0.2, 0.9]) == [-2.0, 7.0]


def test_add_rejects_types_that_no_feature_reads() -> None:
    with pytest.raises(DataError, match='column "c" has type struct'):
        column_stats(pa.array([{"a": 1}]))


def test_moments_keep_precision_far_from_zero() -> None:
    values = 1e9 + np.random.default_rng(1).random(10_000)
    stats = Moments()
    for piece in np.array_split(values, 13):
        stats.add(piece)
    assert stats.deviation == pytest.approx(values.std(), rel=1e-6)
    assert stats.least_positive == values.min()
    stats.add(np.array([-1.0, 0.0, 2.0]))
    assert (stats.least, stats.least_positive) == (-1.0, 2.0)
