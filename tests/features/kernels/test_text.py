"""Kernels that make or compare text, against their twins."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.kernels.test_parse import int64, pieces, text
from tests.features.reference import text as reference
from tzrec.features.jagged import Jagged
from tzrec.features.text.pairs import Pairs, find_pairs, split_pairs
from tzrec.features.text.spans import Spans, decimals, split
from tzrec.features.text.words import cross

quick = settings(max_examples=60, deadline=None)
rows_of_text = st.lists(st.lists(text.filter(lambda word: word and "\x01" not in word), max_size=4), max_size=6)


def ragged(rows: list[list[str]]) -> Jagged:
    """Rows of non-empty words."""
    elements, lengths = split(pa.array(["\x01".join(row) for row in rows], pa.string()), "\x01")
    return Jagged(elements, lengths)


def encoded(rows: list[list[str]]) -> list[list[bytes]]:
    return [[word.encode() for word in row] for row in rows]


def by_row(elements: Spans, lengths: np.ndarray) -> list[list[bytes]]:
    words, ends = pieces(elements), np.cumsum(lengths)
    return [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]


@quick
@given(values=st.lists(int64, max_size=8))
def test_decimals(values: list[int]) -> None:
    assert pieces(decimals(np.array(values, np.int64))) == [str(value).encode() for value in values]


@quick
@given(left=rows_of_text, right=rows_of_text)
def test_cross(left: list[list[str]], right: list[list[str]]) -> None:
    count = min(len(left), len(right))
    left, right = left[:count], right[:count]
    crossed = cross(ragged(left), ragged(right))
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
def test_find(rows: list[tuple[list[tuple[str, str]], list[str]]], wildcard: str) -> None:
    keys = ragged([[key for key, _ in pairs] for pairs, _ in rows])
    values = ragged([[value for _, value in pairs] for pairs, _ in rows])
    pairs = Pairs(keys.elements, values.elements, keys.row_lengths())
    found = find_pairs(pairs, ragged([words for _, words in rows]), wildcard)
    held = [[(key.encode(), value.encode()) for key, value in pairs] for pairs, _ in rows]
    expected = reference.find(held, encoded([words for _, words in rows]), wildcard.encode())
    assert by_row(values.elements[found.pairs], found.lengths) == expected
    sought = [word.encode() for _, words in rows for word in words]
    for pair, finder in zip(found.pairs, found.words, strict=True):
        assert sought[finder] in (pieces(keys.elements)[pair], wildcard.encode())


@quick
@given(words=st.lists(text.filter(bool), max_size=8))
def test_cut(words: list[str]) -> None:
    found, _ = split(pa.array(words, pa.string()))
    keys, values, good = split_pairs(found, ":")
    expected = [reference.cut(word.encode(), b":") for word in words]
    assert good.tolist() == [pair is not None for pair in expected]
    assert list(zip(pieces(keys[good]), pieces(values[good]), strict=True)) == [pair for pair in expected if pair]


@quick
@given(rows=rows_of_text, data=st.data())
def test_rows_are_taken_as_often_as_named(rows: list[list[str]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
    taken = ragged(rows).take(np.array(chosen, np.int64))
    assert by_row(taken.elements, taken.row_lengths()) == encoded([rows[i] for i in chosen])


@quick
@given(
    words=st.lists(text.filter(bool) | st.text(min_size=1, max_size=300), max_size=6), size=st.integers(1, 2**63 - 1)
)
def test_farm_hash(words: list[str], size: int) -> None:
    found, _ = split(pa.array(words, pa.string()))
    assert found.farm_hash(size).tolist() == reference.farm_hash([word.encode() for word in words], size)
