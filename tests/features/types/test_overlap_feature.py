from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference import pairs as reference
from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Table
from tzrec.features.column import Column
from tzrec.features.types.overlap_feature import METHODS


def overlap(method: str, text: str = "") -> str:
    return f'overlap_feature {{ feature_name: "f" query: "user:q" title: "item:t" method: "{method}" {text} }}'


def encode(feature: str, query: Any, title: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, {"q": query, "t": title})


@pytest.mark.parametrize(
    ("query", "title", "method", "expected"),
    [
        (
            ["abc\x1defg", "abc\x1defg", "", None],
            ["abc\x1dqwe\x1drty\x1duio", "abc\x1defg\x1drty", "", None],
            "query_common_ratio",
            [0.5, 1, 0, 0],
        ),
        ([["abc", "efg"], [], None], [["abc", "qwe", "rty", "uio"], [], None], "query_common_ratio", [0.5, 0, 0]),
        (["abc\x1defg", "abc\x1defg"], ["abc\x1dqwe\x1drty\x1duio", "abc"], "title_common_ratio", [0.25, 1]),
        (["abc\x1defg"] * 2, ["abc\x1dqwe\x1drty\x1duio", "abc\x1defg\x1drty"], "is_contain", [0, 1]),
        (["abc\x1defg"] * 2, ["abc\x1defg\x1drty", "abc\x1defg"], "is_equal", [0, 1]),
        ([[1, 2]], [["2", "7"]], "query_common_ratio", [0.5]),
        (["a", None], [None, "a"], "index_of", [0, 0]),
    ],
)
def test_measures_equal_those_of_torcheasyrec(query: Any, title: Any, method: str, expected: list[float]) -> None:
    column, bad = encode(overlap(method), query, title)
    assert column.values[:, 0].tolist() == expected
    assert not bad


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # [b c] in [a b c d]; [c x b] in [b a b c c]; [x] in [a b]; [b b] in [a b]
        ("query_common_ratio", [1, 2 / 3, 0, 1]),
        ("title_common_ratio", [0.5, 2 / 3, 0, 0.5]),
        ("is_contain", [1, 0, 0, 0]),
        ("is_equal", [0, 0, 0, 0]),
        ("index_of", [1, -1, -1, -1]),
        ("proximity_min_cover", [2, 0, 0, 1]),
        ("proximity_min_dist", [1, 1, 3, 2]),
        ("proximity_max_dist", [1, 1, 3, 2]),
        ("proximity_avg_dist", [1, 1, 3, 2]),
    ],
)
def test_methods_give_values_computed_by_hand(method: str, expected: list[float]) -> None:
    column, _ = encode(
        overlap(method, 'separator: " "'), ["b c", "c x b", "x", "b b"], ["a b c d", "b a b c c"] + ["a b"] * 2
    )
    np.testing.assert_allclose(column.values[:, 0], expected, rtol=1e-6)


def test_proximity_of_three_words_uses_closest_pairs() -> None:
    """In the title "a b x c" the distances are a-b 1, b-c 2, a-c 3."""
    for method, expected in [("min", 1), ("max", 3), ("avg", 2)]:
        column, _ = encode(overlap(f"proximity_{method}_dist", 'separator: " "'), ["a b c"], ["a b x c"])
        assert column.values.tolist() == [[expected]]


def test_boundaries_and_normalizer_apply() -> None:
    text = "boundaries: [0.25, 0.75] embedding_dim: 16"
    column, bad = encode(
        overlap("query_common_ratio", text), ["a\x1db", "a\x1db", "", None], ["a\x1dq", "a\x1db\x1dr", "", None]
    )
    assert ids_by_row(column) == [[1], [2], [0], [0]]
    assert not bad
    feature = encoder(overlap("is_equal", text)).features["f"]
    assert (feature.table, feature.is_sparse) == (Table("f_emb", 3, 16), True)
    assert [source.name for source in feature.inputs] == ["q", "t"]
    scaled, _ = encode(overlap("index_of", 'normalizer: "method=minmax,min=-1,max=3"'), ["b"], ["a\x1db"])
    assert scaled.values.tolist() == [[0.5]]


def test_encoded_data_is_read_as_numbers() -> None:
    columns, bad = encoder(overlap("is_equal"), mode="FG_NONE").encode(pa.table({"f": ["0.0", "0.2", "0.3"]}))
    np.testing.assert_allclose(columns["f"].values, [[0], [0.2], [0.3]], rtol=1e-6)
    text = overlap("is_equal", "embedding_dim: 16 boundaries: [0.1, 0.2, 0.3]")
    columns, bad = encoder(text, mode="FG_NONE").encode(pa.table({"f": [1, 2, 0, 3]}))
    assert ids_by_row(columns["f"]) == [[1], [2], [0], [3]]
    assert not bad


def test_bad_input_is_reported() -> None:
    column, bad = encode(overlap("is_equal"), [1.0, 1.5], [1, 1])
    assert column.values.tolist() == [[1], [0]]
    assert reports(bad) == [("q", "not an integer", [1], [1.5])]
    with pytest.raises(DataError, match='column "t" has type map'):
        encode(overlap("is_equal"), ["a"], pa.array([[("k", 1.0)]], pa.map_(pa.string(), pa.float64())))


@pytest.mark.parametrize(
    ("feature", "field", "message"),
    [
        (overlap("is_common"), "method", '"is_common" is not one of query_common_ratio'),
        (overlap("is_equal").replace("user:q", "q"), "query", '"q" is not side:name'),
        (overlap("is_equal").replace("item:t", "itm:t"), "title", '"itm:t" is not side:name'),
        (overlap("is_equal", 'normalizer: "method=x"'), "normalizer", "unknown method"),
    ],
)
def test_invalid_config_is_rejected(feature: str, field: str, message: str) -> None:
    problem = config_problem(feature)
    assert problem.field == f"feature_configs[0].overlap_feature.{field}"
    assert message in problem.message


words = st.lists(st.sampled_from(["a", "b", "ab", "ä", "雪", "🎿", "a b"]), max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(METHODS), st.lists(st.tuples(words, words), min_size=1, max_size=6), st.booleans())
def test_measures_equal_reference(method: str, pairs: list[tuple[list[str], list[str]]], as_text: bool) -> None:
    cells = [tuple("|".join(side) if as_text else side for side in pair) for pair in pairs]
    kind = pa.large_string() if as_text else pa.list_(pa.string())
    sides = [pa.array(["x", *side] if as_text else [["x"], *side], kind).slice(1) for side in zip(*cells)]
    column, bad = encode(overlap(method, 'separator: "|"'), *sides)
    expected = [reference.OVERLAP[method](query, title) if query and title else 0.0 for query, title in pairs]
    np.testing.assert_allclose(column.values[:, 0], expected, rtol=1e-6)
    assert not bad
