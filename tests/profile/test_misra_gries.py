from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tzrec.profile.misra_gries import FrequentItem, MisraGries


def sketch(values: np.ndarray, counters: int, pieces: int = 9) -> MisraGries:
    counts = MisraGries(counters)
    for piece in np.array_split(values, pieces):
        unique = pc.value_counts(pa.array(piece))
        counts.add(unique.field("values"), unique.field("counts").to_numpy())
    return counts


def test_few_values_are_counted_exactly() -> None:
    counts = MisraGries(3)
    counts.add(pa.array(["b", "a"]), np.array([2, 2]))
    counts.add(pa.array(["c", "b"]), np.array([1, 1]))
    assert counts.top(9) == [FrequentItem("b", 3, 3), FrequentItem("a", 2, 2), FrequentItem("c", 1, 1)]
    assert (counts.num_counters, counts.undercount) == (3, 0)


def test_numbers_meet_text() -> None:
    counts = MisraGries(9)
    counts.add(pa.array([7, 8]), np.array([5, 3]))
    counts.add(pa.array(["x", "7"], pa.large_string()), np.array([2, 1]))
    assert counts.top(9) == [FrequentItem("7", 6, 6), FrequentItem("8", 3, 3), FrequentItem("x", 2, 2)]


def test_one_value_too_many_lowers_all_counts() -> None:
    counts = MisraGries(2)
    counts.add(pa.array([7, 8]), np.array([5, 3]))
    counts.add(pa.array([9, 8]), np.array([2, 1]))  # 5, 4, 2: the third count is 2
    assert counts.top(9) == [FrequentItem("7", 3, 5), FrequentItem("8", 2, 4)]
    assert counts.undercount == 2
    assert counts.undercount <= 11 / 3


def test_counts_lie_within_their_bounds() -> None:
    values = np.random.default_rng(1).zipf(1.15, 400_000).clip(max=1 << 60)
    numbers, exact_counts = np.unique(values, return_counts=True)
    exact = dict(zip(map(str, numbers.tolist()), exact_counts.tolist(), strict=True))
    counts = sketch(values, 500)
    assert 0 < counts.undercount <= len(values) / 501
    top = counts.top(500)
    assert all(item.at_least <= exact[item.value] <= item.at_most for item in top)
    often = {word for word, count in exact.items() if count > len(values) / 501}
    assert len(often) > 20 and often <= {item.value for item in top}
    best = sorted(exact, key=lambda word: -exact[word])[:10]
    assert [item.value for item in top[:10]] == best


@pytest.mark.parametrize("counters", [50, 100_000])
def test_merging_keeps_the_bound(counters: int) -> None:
    values = np.random.default_rng(2).zipf(1.3, 50_000).clip(max=1 << 60)
    first, second = sketch(values[:30_000], counters), sketch(values[30_000:], counters)
    first.merge(second)
    first.merge(MisraGries(counters))
    assert first.undercount <= len(values) / (counters + 1)
    for item in first.top(10):
        assert item.at_least <= (values == int(item.value)).sum() <= item.at_most
