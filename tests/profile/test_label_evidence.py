from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.profile.label_evidence import LabelEvidence, _area_of_neighbors, _weighted_area
from tzrec.profile.row_sample import RowSample

NUM = 6000
RNG = np.random.default_rng(1)
AGE, ZONE, NOISE = RNG.integers(18, 92, NUM), RNG.integers(0, 100, NUM), RNG.integers(0, 60, NUM)
ZONE_EFFECT = RNG.normal(0, 1.5, 100)
CLICK = RNG.random(NUM) < 1 / (1 + np.exp(((AGE - 50) / 20.0) ** 2 - 1 - ZONE_EFFECT[ZONE]))
AMOUNT = (5 * np.exp(-(((AGE - 50) / 15.0) ** 2)) + ZONE_EFFECT[ZONE]) + RNG.normal(0, 1, NUM)


def evidence(columns: Mapping[str, Any], *labels: str) -> LabelEvidence:
    sample = RowSample()
    for batch in pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()}).to_batches():
        sample.add_batch(batch)
    return LabelEvidence(sample, labels)


LABELS = {"click": CLICK.astype(int), "amount": AMOUNT, "class": np.digitize(AMOUNT, [-1, 2, 4])}


@pytest.mark.parametrize("label", LABELS)
def test_order_matters_for_ages_and_not_for_zones(label: str) -> None:
    found = evidence({"age": AGE, "zone": ZONE, "noise": NOISE, "y": LABELS[label]}, "y")
    age, zone, noise = found.order("age"), found.order("zone"), found.order("noise")
    assert age is not None and zone is not None and noise is not None
    assert age.matters and age.rank > 0.6
    assert not zone.matters and zone.values_matter and zone.rank < 0.56
    assert (noise.matters, noise.values_matter) == (False, False)


def test_order_of_amounts_with_a_long_tail_of_which_most_are_0_is_not_denied() -> None:
    weeks = np.where(RNG.random(NUM) < 0.45, 0, np.where(RNG.random(NUM) < 0.7, 52, RNG.integers(1, 52, NUM)))
    clicks = RNG.random(NUM) < 0.2 + weeks / 80
    order = evidence({"weeks": weeks, "y": clicks.astype(int)}, "y").order("weeks")
    assert order is None or order.matters
    by_luck = evidence({"weeks": weeks, "y": (RNG.random(NUM) < 0.3).astype(int)}, "y").order("weeks")
    assert by_luck is None or not by_luck.matters


def test_order_of_text_cells_with_numbers_is_that_of_the_numbers() -> None:
    found = evidence({"age": [str(age) for age in AGE], "y": CLICK.astype(str).tolist()}, "y").order("age")
    assert found is None, "the label is no number"
    columns = {"age": [str(age) if age % 7 else "N/A" for age in AGE], "y": CLICK.astype(int).astype(str)}
    found = evidence(columns, "y").order("age")
    assert found is not None and found.matters


def test_too_few_rows_or_positives_say_nothing() -> None:
    assert evidence({"x": AGE[:199], "y": CLICK[:199]}, "y").order("x") is None
    rare = np.zeros(NUM)
    rare[:19] = 1
    assert evidence({"x": AGE, "y": rare}, "y").leak("x") is None
    assert evidence({"x": AGE}, "y").order("x") is None


@pytest.mark.parametrize(
    "column",
    [
        np.where(np.arange(NUM) % 500, CLICK, ~CLICK).astype(int),
        np.where(CLICK, "yes", "no"),
        np.where(CLICK, RNG.random(NUM), 2 + RNG.random(NUM)),
        np.where(CLICK, -1, 0) * RNG.integers(1, 9, NUM),
    ],
)
def test_column_that_tells_a_label_is_a_leak(column: Any) -> None:
    leak = evidence({"x": column, "y": CLICK.astype(int)}, "y").leak("x")
    assert leak is not None and leak.label == "y" and leak.area > 0.99 and not leak.is_by_missing


def test_column_that_is_missing_where_a_label_is_0_is_a_leak_by_its_gaps() -> None:
    leak = evidence({"x": np.where(CLICK, RNG.random(NUM), np.nan), "y": CLICK.astype(int)}, "y").leak("x")
    assert leak is not None and leak.is_by_missing and leak.area == 1


def test_good_features_and_rows_that_never_repeat_are_no_leaks() -> None:
    noisy = np.where(RNG.random(NUM) < 0.1, ~CLICK, CLICK)
    found = evidence({"noisy": noisy, "row": [f"r{i}" for i in range(NUM)], "age": AGE, "y": CLICK.astype(int)}, "y")
    assert [found.leak(name) for name in ("noisy", "row", "age")] == [None, None, None]


def test_amount_is_told_by_itself_and_not_by_one_threshold() -> None:
    found = evidence({"copy": AMOUNT * 3 + 1, "high": np.median(AMOUNT) < AMOUNT, "y": AMOUNT}, "y")
    assert found.leak("copy") is not None
    assert found.leak("high") is None


def test_duplicates_are_counted() -> None:
    columns = {"a": [1, 1, 2, 2, None, None], "b": ["x", "x", "x", "y", None, None], "y": [0, 0, 1, 1, 0, 0]}
    assert evidence(columns, "y").num_duplicates() == 2
    assert evidence({**columns, "c": [[1]] * 6}, "y").num_duplicates() == 0, "lists are not compared"


def test_area_of_neighbors_is_that_of_the_slow_way() -> None:
    counts = RNG.integers(1, 30, 50)
    yes = RNG.binomial(counts, 0.3)
    side = max(int(0.01 * counts.sum()), 1)
    shares = []
    for i in range(len(counts)):
        left, right = i - 1, i + 1
        near: list[int] = []
        for step, index in ((-1, left), (1, right)):
            total = 0
            while 0 <= index < len(counts) and (total < side or total == 0):
                near.append(index)
                total += int(counts[index])
                index += step
        shares.append(yes[near].sum() / max(counts[near].sum(), 1))
    expected = _weighted_area(np.array(shares), yes, counts - yes)
    assert _area_of_neighbors(counts, yes) == pytest.approx(expected)


def test_weighted_area_is_the_share_of_pairs_in_order() -> None:
    scores, yes, no = np.array([0.1, 0.4, 0.4, 0.8]), np.array([1, 2, 0, 3]), np.array([2, 0, 1, 1])
    pairs = [
        (1.0 if a > b else 0.5 if a == b else 0.0, n * m)
        for a, n in zip(scores, yes, strict=True)
        for b, m in zip(scores, no, strict=True)
    ]
    assert _weighted_area(scores, yes, no) == pytest.approx(sum(v * w for v, w in pairs) / (yes.sum() * no.sum()))
    assert all(low <= high for low, high in pairwise(sorted(scores)))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_rows_sorted_by_a_label_are_found(share: float) -> None:
    labels = (np.arange(NUM) < share * NUM).astype(int)
    assert evidence({"y": labels}, "y").sorted_label() == "y"
    assert evidence({"x": RNG.permutation(labels), "y": RNG.permutation(labels)}, "x", "y").sorted_label() == ""


def test_drift_of_a_label_over_time_is_not_sorted() -> None:
    labels = RNG.random(NUM) < np.linspace(0.1, 0.5, NUM)
    assert evidence({"y": labels.astype(int)}, "y").sorted_label() == ""
    assert evidence({"y": np.sort(AMOUNT)}, "y").sorted_label() == "y"
