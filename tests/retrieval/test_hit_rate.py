from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.retrieval.test_index import naive, vectors
from tzrec.errors import DataError
from tzrec.retrieval.hit_rate import HitRate, to_ground_truth
from tzrec.retrieval.index import build_index
from tzrec.retrieval.options import IndexOptions
from tzrec.retrieval.vectors import Floats

ITEMS = vectors(40)
IDS = [f"i{number}" for number in range(40)]


def expected_details(interests: Floats, truth: list[list[str]], count: int, is_merged: bool) -> list[dict[str, Any]]:
    """Details of requests, computed with sets."""
    rows = []
    for user, chosen in zip(interests, truth):
        lists = [naive(ITEMS, interest, count, "IP") if interest.any() else [] for interest in user]
        if is_merged:
            best: dict[int, float] = {}
            for score, row in (pair for pairs in lists for pair in pairs):
                best[row] = max(score, best.get(row, score))
            lists = [sorted(((score, row) for row, score in best.items()), reverse=True)[:count]]
        retrieved = {IDS[row] for pairs in lists for _, row in pairs}
        hits = [item for item in dict.fromkeys(chosen) if item in retrieved]
        rows.append(
            {
                "topk_ids": [[IDS[row] for _, row in pairs] for pairs in lists],
                "topk_dists": [pytest.approx([score for score, _ in pairs], abs=1e-4) for pairs in lists],
                "hitrate": len(hits) / len(set(chosen)) if chosen else None,
                "hit_ids": hits,
            }
        )
    return rows


@pytest.mark.parametrize("num_interests", [1, 3])
@pytest.mark.parametrize("is_merged", [False, True])
def test_hit_rate_equals_naive_computation(num_interests: int, is_merged: bool) -> None:
    rng = np.random.default_rng(3)
    interests = vectors(12 * num_interests, seed=5).reshape(12, num_interests, 12)
    interests[4, -1] = 0
    truth = [[f"i{item}" for item in rng.integers(0, 45, size)] for size in [3, 0, 1, 8, 8, 8, 8, 8, 20, 0, 2, 5]]
    truth[3] = truth[3] * 2  # each item counts once; i40 to i44 are in no index
    measure = HitRate(build_index(ITEMS, IndexOptions("FlatIP")), pa.array(IDS, pa.large_string()), 7, is_merged)
    hits = measure.measure(interests, to_ground_truth(pa.array(truth, pa.list_(pa.string())), "gt"))
    expected = expected_details(interests, truth, 7, is_merged)
    assert hits.details.to_pylist() == expected
    assert hits.num_hits == sum(len(row["hit_ids"]) for row in expected) > 5
    assert hits.num_items == sum(len(set(items)) for items in truth)
    assert hits.details.schema.types == [
        pa.list_(pa.list_(pa.string())),
        pa.list_(pa.list_(pa.float32())),
        pa.float64(),
        pa.list_(pa.string()),
    ]


def test_hit_rate_without_any_ground_truth_is_null() -> None:
    measure = HitRate(build_index(ITEMS, IndexOptions("ExactIP")), pa.array(IDS, pa.large_string()), 3)
    hits = measure.measure(ITEMS[:2, None], to_ground_truth(pa.array([[], None], pa.list_(pa.string())), "gt"))
    assert (hits.num_hits, hits.num_items) == (0, 0)
    assert hits.details["hitrate"].to_pylist() == [None, None]
    assert hits.details["hit_ids"].to_pylist() == [[], []]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["1", "22"], [], None, ["3"]], pa.list_(pa.string())),
        pa.array([[1, 22], [], None, [3]], pa.list_(pa.int64())),
        pa.array([["x"], ["1", "22"], [], None, ["3"]], pa.large_list(pa.large_string())).slice(1),
        pa.array(["1,22", "", None, "3"]),
        pa.array(["1, 22", " ", None, ",3"]),
        pa.array(['["1","22"]', "[]", None, "[3]"]),
    ],
)
def test_to_ground_truth_reads_lists_of_any_type_and_text(column: pa.Array) -> None:
    lists = to_ground_truth(column, "gt").to_pylist()
    assert [items or [] for items in lists] == [["1", "22"], [], [], ["3"]]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[1.5]]), 'column "gt" is list<item: double>; the ground truth is a list of ids, or text'),
        (pa.array([1]), 'column "gt" is int64; the ground truth is a list of ids, or text such as "12,7"'),
        (pa.array([["a"], [], ["b", None]]), 'row 2: column "gt" has a missing id in its list; remove it'),
    ],
)
def test_to_ground_truth_of_invalid_column_names_row_and_cure(column: pa.Array, message: str) -> None:
    with pytest.raises(DataError) as error:
        to_ground_truth(column, "gt")
    assert message in str(error.value)
