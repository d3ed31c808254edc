from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.profile import hyperloglog, quantile_sketch
from tzrec.profile.column import ColumnStats
from tzrec.profile.misra_gries import FrequentItem
from tzrec.profile.moments import Moments


def column(*pieces: Any, **settings: Any) -> ColumnStats:
    found = ColumnStats("c", **settings)
    for piece in pieces:
        found.add(piece if isinstance(piece, pa.Array) else pa.array(piece))
    return found


def test_numbers() -> None:
    found = column([3, None, 1], [3])
    assert (found.rows, found.missing, found.values, found.numbers) == (4, 1, 3, 3)
    assert found.is_numeric and found.is_whole and found.is_exact
    assert found.distinct == 2
    assert found.top(1) == [FrequentItem("3", 2, 2)]
    assert found.quantiles([0.3, 0.5, 1]) == [1, 3, 3]
    assert (found.moments.mean, found.moments.least, found.moments.most) == (pytest.approx(7 / 3), 1, 3)
    assert found.widths == (1, 1)
    assert found.kind == pa.int64()


def test_numbers_that_are_none() -> None:
    found = column([1.5, math.nan, math.inf, -0.0, 0.0])
    assert (found.values, found.numbers, found.is_numeric, found.is_whole) == (5, 3, False, False)
    assert found.moments.mean == pytest.approx(0.5)
    assert column([1.0, -2.0]).is_whole
    assert not column([1.0, math.inf]).is_numeric


def test_text_with_several_values() -> None:
    found = column(["a\x1db", "", None, "b"])
    assert (found.rows, found.missing, found.values, found.widths) == (4, 2, 3, (1, 2))
    assert found.top(2) == [FrequentItem("b", 2, 2), FrequentItem("a", 1, 1)]
    assert not found.is_numeric and not found.is_whole


def test_text_that_is_numbers() -> None:
    whole = column(["3", "4"], [None, "5"])
    assert whole.is_numeric and whole.is_whole
    assert column(["3", "4.5"]).is_numeric and not column(["3", "4.5"]).is_whole
    mixed = column(["3", "x"], ["4"])
    assert not mixed.is_numeric and mixed.numbers == 1
    assert column(["3", "x"], ["4"], as_numbers=True).numbers == 2


def test_steps_of_sequences() -> None:
    text = column(["1|2;3", ";;4", None], separators=(";", "|"))
    nested = column(pa.array([[["1", "2"], ["3"]], [[], ["4"]], None]))
    numbers = column(pa.array([[[1, 2], [3]], [[], [4]], None]))
    for found in (text, nested, numbers):
        assert (found.rows, found.missing, found.values, found.widths) == (3, 1, 4, (1, 3))
        assert found.moments.mean == 2.5


def test_skewed_data_lies_within_the_bounds() -> None:
    rng = np.random.default_rng(1)
    values = rng.zipf(1.2, 200_000).clip(max=1 << 50)
    words = pa.array(np.char.add("w", values.astype(str)))
    numbers, text = column(*np.array_split(values, 6)), column(words[:90_000], words[90_000:])
    exact = len(np.unique(values))
    for found in (numbers, text):
        assert not found.is_exact
        assert abs(found.distinct / exact - 1) < 3 * hyperloglog.ERROR
    assert numbers.moments.mean == pytest.approx(values.mean())
    assert numbers.moments.deviation == pytest.approx(values.std())
    share = (values <= numbers.quantiles([0.9])[0]).mean()
    assert share >= 0.9 - quantile_sketch.ERROR
    best = text.top(1)[0]
    assert best.value == "w1"
    assert best.at_least <= (values == 1).sum() <= best.at_most


def test_weights_are_no_values() -> None:
    for found in (
        column(["a:0.5\x1db", "a:2"], weighted=True),
        column(["a:1;b", "a:2"], separators=(";", "|"), weighted=True),
    ):
        assert found.top(3) == [FrequentItem("a", 2, 2), FrequentItem("b", 1, 1)]


def test_merging_is_seeing_both() -> None:
    pieces = [[3.0, None], [None], [1.5, 7.0, 3.0], [-2.0]]
    whole, first, second = column(*pieces), column(*pieces[:1]), column(*pieces[1:])
    first.merge(column())
    first.merge(second)
    for name in ("kind", "rows", "missing", "values", "numbers", "widths", "is_whole", "distinct"):
        assert getattr(first, name) == getattr(whole, name), name
    assert vars(first.moments) == pytest.approx(vars(whole.moments))
    assert first.top(9) == whole.top(9)
    assert first.quantiles([0.2, 0.9]) == whole.quantiles([0.2, 0.9]) == [-2.0, 7.0]


def test_types_that_no_feature_reads() -> None:
    with pytest.raises(DataError, match='column "c" has type struct'):
        column(pa.array([{"a": 1}]))


def test_moments_lose_no_digits() -> None:
    values = 1e9 + np.random.default_rng(1).random(10_000)
    found = Moments()
    for piece in np.array_split(values, 13):
        found.add(piece)
    assert found.deviation == pytest.approx(values.std(), rel=1e-6)
    assert found.least_positive == values.min()
    found.add(np.array([-1.0, 0.0, 2.0]))
    assert (found.least, found.least_positive) == (-1.0, 2.0)
