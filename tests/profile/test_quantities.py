"""Kinds of columns of numbers: quantities and names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.errors import UsageError
from tzrec.profile.quantities import Kind, kind_of, neighbor_correlation, to_kinds

RNG = np.random.default_rng(3)
AGES = np.clip(RNG.normal(40, 12, 20_000).round(), 0, 99).astype(np.int64)
SHUFFLED = RNG.permutation(100)[AGES]
"""The same numbers of rows, for ids that say nothing about their neighbors."""


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("city", ["a", "b"], Kind.NAME),
        ("price", [1.5, 2.0], Kind.QUANTITY),
        ("whole", [1.0, 2.0], Kind.QUANTITY),
        ("as_text", ["1.5", "2"], Kind.QUANTITY),
        ("tags", [[1, 2], [3]], Kind.NAME),
        ("few", np.arange(100) % 10, Kind.NAME),
        ("shop_id", AGES, Kind.NAME),
        ("userId", AGES, Kind.NAME),
        ("numClicks", np.arange(5000) % 500, Kind.QUANTITY),
        ("days_since_last", np.arange(5000) % 500, Kind.QUANTITY),
        ("x", AGES, Kind.QUANTITY),
        ("x", SHUFFLED, Kind.NAME),
        ("x", AGES - 50, Kind.QUANTITY),
        ("x", np.exp(RNG.normal(5, 2, 5000)).astype(np.int64), Kind.QUANTITY),
        ("x", RNG.permutation(20_000)[:9000], Kind.EITHER),
    ],
    ids=[
        "text",
        "fractions",
        "floating point",
        "text of numbers",
        "lists",
        "few values",
        "named id",
        "camel case id",
        "camel case count",
        "named days",
        "smooth",
        "not smooth",
        "negative",
        "long tail",
        "spread evenly",
    ],
)
def test_kind_of_a_column(name: str, values: Any, kind: Kind) -> None:
    assert kind_of(column_stats(values, name=name)).kind == kind


def test_evidence_is_the_statistics_behind_the_kind() -> None:
    assert kind_of(column_stats(AGES - 50, name="x")).evidence.startswith("it has values below 0, down to -")
    correlation = neighbor_correlation(column_stats(AGES, name="x"))
    assert kind_of(column_stats(AGES, name="x")).evidence.endswith(f"correlation {correlation:.2f}")
    assert kind_of(column_stats([1.5], name="x")).evidence == ""


def test_neighbor_correlation_equals_that_of_numpy() -> None:
    """A pyramid of frequencies over 30 values, of which one is missing: 27 pairs of neighbors."""
    counts = np.array([*range(1, 16), *range(15, 0, -1)])
    counts[7] = 0
    values = np.repeat(np.arange(30), counts)
    pairs = [(counts[i], counts[i + 1]) for i in range(29) if counts[i] and counts[i + 1]]
    expected = np.corrcoef(np.log(np.array(pairs)).T)[0, 1]
    assert len(pairs) == 27
    assert neighbor_correlation(column_stats(values, name="x")) == pytest.approx(expected)


def test_neighbor_correlation_of_few_neighbors_or_equal_counts_is_nan() -> None:
    assert np.isnan(neighbor_correlation(column_stats(np.arange(20), name="x")))
    assert np.isnan(neighbor_correlation(column_stats(np.arange(100), name="x")))


def test_kind_that_does_not_exist_is_an_error() -> None:
    assert to_kinds({"a": "number", "b": "skip", "c": "id"}) == {
        "a": Kind.QUANTITY,
        "b": Kind.SKIPPED,
        "c": Kind.NAME,
    }
    with pytest.raises(UsageError, match=r"column \"a\": 'numbr' is not one of number, category, both, .*, id; did"):
        to_kinds({"a": "numbr"})
