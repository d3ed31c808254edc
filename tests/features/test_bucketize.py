"""Bucketizers map a column to the same ids as its words one by one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tzrec.features.bucketize import Boundaries, Bucketizer, Hash, Identity, Vocabulary
from tzrec.features.text.spans import split

BUCKETIZERS = [
    Hash(1000),
    Hash(1000, as_integer=True),
    Identity(50),
    Vocabulary({"a": 5, "7": 0, "模": 9}, 1, 10),
    Vocabulary({"7": 3}, 2, 10, as_integer=True),
    Boundaries([-1, 0.1, 7]),
]
word = (
    st.integers(-60, 60).map(str)
    | st.floats(allow_nan=False, width=32).map(str)
    | st.text(st.sampled_from("a7模 .-+e_"), min_size=1, max_size=6)
)


def one(bucketizer: Bucketizer, text: str) -> int | str:
    """Return the id of a word, or the reason why it has none."""
    try:
        return bucketizer.one(text)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("bucketizer", BUCKETIZERS, ids=lambda b: type(b).__name__)
@settings(max_examples=50, deadline=None)
@given(words=st.lists(word, max_size=8))
def test_ids_of_column_equal_ids_of_words(bucketizer: Bucketizer, words: list[str]) -> None:
    spans, _ = split(pa.array(words, pa.string()))
    ids, invalid = bucketizer(spans)
    for i, text in enumerate(words):
        reasons = [problem.reason for problem in invalid if problem.mask[i]]
        expected = one(bucketizer, text)
        if isinstance(expected, int):
            assert (ids[i], reasons) == (expected, [])
            assert 0 <= expected < bucketizer.rows
        else:  # text like "inf" is not a number in a column
            assert reasons == [expected] or (reasons, expected) == (["not a number"], "not finite")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1, 2]), [95, 70]),
        (np.array([1.0, 2.0]), [95, 70]),
        (np.array([1.0, 2.0], np.float32), [95, 70]),
    ],
)
def test_numbers_are_hashed_in_decimal(values: np.ndarray, expected: list[int]) -> None:
    ids, invalid = Hash(100)(values)
    assert (ids.tolist(), invalid) == (expected, [])


def test_floats_at_edges_of_int64_are_identified() -> None:
    ids, invalid = Identity(2**62)(np.array([0.0, 2.0**61, 2.0**63, -(2.0**63), np.nan, np.inf, 0.5]))
    assert ids[:2].tolist() == [0, 2**61]
    assert [(problem.reason, np.flatnonzero(problem.mask).tolist()) for problem in invalid] == [
        ("not an integer", [2, 4, 5, 6]),
        (f"out of range [0, {2**62})", [3]),
    ]


def test_empty_column_has_no_ids() -> None:
    ids, invalid = Vocabulary({"a": 2}, 1, 3)(np.empty(0, np.int64))
    assert (ids.tolist(), invalid) == ([], [])
