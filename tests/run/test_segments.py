"""Segments of rows by the values of features."""

from __future__ import annotations

import numpy as np
import pytest

from tzrec.features.base import Feature
from tzrec.features.bucketize import Boundaries, Vocabulary
from tzrec.features.encoders.sparse import SparseEncoder
from tzrec.run.segments import known_segments, segment_rows, segments_of


def feature(bucketizer: Vocabulary | Boundaries) -> Feature:
    """Feature whose ids come from a bucketizer."""
    result = Feature()
    result.encoder = SparseEncoder("city", bucketizer, ",")
    return result


def test_segments_of_ids_are_named_by_their_words() -> None:
    column = np.array([2, 2, -1, 1])
    segments = segments_of(column, feature(Vocabulary({"": 0, "oslo": 2}, oov=1, rows=3)))
    assert {name: rows.tolist() for name, rows in segments.items()} == {
        "missing": [False, False, True, False],
        "not listed": [False, False, False, True],
        "oslo": [True, True, False, False],
    }


def test_segments_of_boundaries_are_named_by_their_edges() -> None:
    segments = segments_of(np.array([0, 1, 2]), feature(Boundaries([10.0, 20.5])))
    assert list(segments) == ["below 10", "10 to below 20.5", "from 20.5"]


def test_segments_of_numbers_are_quarters() -> None:
    segments = segments_of(np.arange(100.0), Feature())
    assert list(segments) == ["part 1 of 4, lowest", "part 2 of 4", "part 3 of 4", "part 4 of 4, highest"]
    assert [int(rows.sum()) for rows in segments.values()] == [25, 25, 25, 25]


def test_segments_of_many_ids_or_one_value_are_none() -> None:
    assert segments_of(np.arange(100), Feature()) == {}
    assert segments_of(np.zeros(9, np.int64), Feature()) == {}
    assert segments_of(np.zeros(9), Feature()) == {}


def test_known_segments_divide_rows_by_ids_of_training() -> None:
    segments = known_segments(np.array([5, 6, 5, 7]), np.array([5]))
    assert {name: rows.tolist() for name, rows in segments.items()} == {
        "seen in training": [True, False, True, False],
        "new": [False, True, False, True],
    }
    assert known_segments(np.array([5, 5]), np.array([5])) == known_segments(np.array([1]), np.array([5])) == {}


def test_segment_rows_leave_out_segments_with_few_rows() -> None:
    scores, labels = np.linspace(0, 1, 100), (np.arange(100) % 2).astype(float)
    few, half = np.arange(100) < 5, np.arange(100) < 50
    rows = segment_rows("binary", scores, labels, "city", {"few": few, "a": half, "b": ~half})
    assert [(row["segment"], row["rows"]) for row in rows] == [("a", 50), ("b", 50)]
    assert rows[0]["mean_score"] == pytest.approx(scores[:50].mean())
    assert segment_rows("binary", scores, labels, "city", {"few": few, "a": half}) == []
