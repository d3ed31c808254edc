"""Kernels that write or compare text, compared to their reference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.features.reference import text as reference
from tests.fixtures.random_text import int64, pieces, quick, text
from tzrec.features.jagged import Jagged
from tzrec.features.text.pairs import Pairs, find_pairs, split_pairs
from tzrec.features.text.spans import Spans, split, to_decimals
from tzrec.features.text.words import cross

rows_of_text = st.lists(st.lists(text.filter(lambda word: word and "\x01" not in word), max_size=4), max_size=6)


def jagged(rows: list[list[str]]) -> Jagged:
    """Convert rows of non-empty words."""
    elements, lengths = split(pa.array(["\x01".join(row) for row in rows], pa.string()), "\x01")
    return Jagged(elements, lengths)


def encoded(rows: list[list[str]]) -> list[list[bytes]]:
    return [[word.encode() for word in row] for row in rows]


def by_row(elements: Spans, lengths: np.ndarray) -> list[list[bytes]]:
    words, ends = pieces(elements), np.cumsum(lengths)
    return [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]


@quick
@given(values=st.lists(int64, max_size=8))
def test_decimals_equal_str(values: list[int]) -> None:
    assert pieces(to_decimals(np.array(values, np.int64))) == [str(value).encode() for value in values]


@quick
@given(left=rows_of_text, right=rows_of_text)
def test_cross_equals_reference(left: list[list[str]], right: list[list[str]]) -> None:
    count = min(len(left), len(right))
    left, right = left[:count], right[:count]
    crossed = cross(jagged(left), jagged(right))
    assert by_row(crossed.elements, crossed.row_lengths()) == reference.cross(encoded(left), encoded(right))


word = st.text(st.sampled_from("ab模"), min_size=1, max_size=2) | st.just("ALL")


@quick
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.tuples(word, st.text("xyz", min_size=1, max_size=3)), max_size=5), st.lists(word, max_size=4)
        ),
        max_size=5,
    ),
    wildcard=st.sampled_from(["", "ALL", "a"]),
)
def test_find_pairs_equals_reference(rows: list[tuple[list[tuple[str, str]], list[str]]], wildcard: str) -> None:
    keys = jagged([[key for key, _ in pairs] for pairs, _ in rows])
    values = jagged([[value for _, value in pairs] for pairs, _ in rows])
    pairs = Pairs(keys.elements, values.elements, keys.row_lengths())
    matches = find_pairs(pairs, jagged([words for _, words in rows]), wildcard)
    encoded_pairs = [[(key.encode(), value.encode()) for key, value in pairs] for pairs, _ in rows]
    expected = reference.find_pairs(encoded_pairs, encoded([words for _, words in rows]), wildcard.encode())
    assert by_row(values.elements[matches.pairs], matches.lengths) == expected
    all_words = [word.encode() for _, words in rows for word in words]
    for pair, word_index in zip(matches.pairs, matches.words, strict=True):
        assert all_words[word_index] in (pieces(keys.elements)[pair], wildcard.encode())


@quick
@given(words=st.lists(text.filter(bool), max_size=8))
def test_split_pairs_equals_reference(words: list[str]) -> None:
    spans, _ = split(pa.array(words, pa.string()))
    keys, values, is_pair = split_pairs(spans, ":")
    expected = [reference.split_pair(word.encode(), b":") for word in words]
    assert is_pair.tolist() == [pair is not None for pair in expected]
    assert list(zip(pieces(keys[is_pair]), pieces(values[is_pair]), strict=True)) == [pair for pair in expected if pair]


@quick
@given(rows=rows_of_text, data=st.data())
def test_take_repeats_rows_by_index(rows: list[list[str]], data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
    taken = jagged(rows).take(np.array(indices, np.int64))
    assert by_row(taken.elements, taken.row_lengths()) == encoded([rows[i] for i in indices])


@quick
@given(
    words=st.lists(text.filter(bool) | st.text(min_size=1, max_size=300), max_size=6), size=st.integers(1, 2**63 - 1)
)
def test_farm_hash_equals_reference(words: list[str], size: int) -> None:
    spans, _ = split(pa.array(words, pa.string()))
    assert spans.farm_hash(size).tolist() == reference.farm_hash([word.encode() for word in words], size)
