"""FeatureEncoder.select and select_features: encoders of one side give the columns of the full encoder."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.features import assert_columns_equal, encoder, reports
from tzrec.features.feature_encoder import FeatureEncoder

HASHED = "hash_bucket_size: 100 embedding_dim: 4"
COLUMNS: dict[str, Any] = {
    "age": [31.0, 25.0, None],
    "tags": ["a\x1db", None, "c"],
    "s__cate": ["x;;y", "", "z"],
    "brand": ["p", "q", None],
    "price": ["1.5", "x", "3"],
}
USER, ITEM = {"age", "tags", "s__cate"}, {"brand", "price"}
FEATURES = [
    'expr_feature { feature_name: "young" expression: "age < 30" variables: "user:age" stub_type: true }',
    'raw_feature { feature_name: "price" expression: "item:price" }',
    f'id_feature {{ feature_name: "tags" expression: "user:tags" {HASHED} }}',
    f'combo_feature {{ feature_name: "cross" expression: ["user:tags", "item:brand"] {HASHED} }}',
    'raw_feature { feature_name: "is_young" expression: "feature:young" }',
    f'id_feature {{ feature_name: "brand" expression: "item:brand" {HASHED} }}',
    f'id_feature {{ feature_name: "literal" expression: "const:7" {HASHED} }}',
    'sequence_feature { sequence_name: "s" sequence_length: 5 sequence_delim: ";" '
    f'features {{ id_feature {{ feature_name: "cate" expression: "user:cate" {HASHED} }} }} }}',
]


def assert_same_encoding(part: FeatureEncoder, full: FeatureEncoder) -> None:
    """Encode the columns of a part alone, and compare the outputs to those of the full encoder."""
    outputs, _ = part.encode(pa.table({name: COLUMNS[name] for name in part.columns}))
    expected, _ = full.encode(pa.table(COLUMNS))
    assert tuple(outputs) == part.outputs
    for name, column in outputs.items():
        assert_columns_equal(column, expected[name])
        assert part.features[name] is full.features[name]


def test_select_user_columns_encodes_user_features() -> None:
    full = encoder(*FEATURES)
    user = full.select(USER)
    assert user.outputs == ("tags", "is_young", "literal", "s__cate")
    assert set(user.columns) == USER
    assert_same_encoding(user, full)


def test_select_item_columns_encodes_item_features_and_bad_rows() -> None:
    full = encoder(*FEATURES)
    item = full.select(ITEM)
    assert item.outputs == ("price", "brand", "literal")
    assert_same_encoding(item, full)
    _, bad = item.encode(pa.table({name: COLUMNS[name] for name in ITEM}))
    assert reports(bad) == [("price", "not a number", [1], ["x"])]


def test_select_all_columns_encodes_all_features() -> None:
    full = encoder(*FEATURES)
    everything = full.select([*COLUMNS, "unused"])
    assert (everything.outputs, everything.columns) == (full.outputs, full.columns)
    assert_same_encoding(everything, full)


def test_select_no_column_leaves_constants() -> None:
    assert encoder(*FEATURES).select([]).outputs == ("literal",)


def test_select_encoded_data_keeps_features_of_columns() -> None:
    full = encoder(*FEATURES, mode="FG_NONE")
    part = full.select(["tags", "price"])
    assert (part.outputs, set(part.columns)) == (("price", "tags"), {"price", "tags"})


def test_select_features_encodes_their_inputs_without_returning_them() -> None:
    full = encoder(*FEATURES)
    part = full.select_features(["is_young", "cross"])
    assert part.outputs == ("cross", "is_young")
    assert list(part.features) == ["young", "cross", "is_young"]
    assert set(part.columns) == {"age", "tags", "brand"}
    assert_same_encoding(part, full)


def test_select_features_of_parts_can_be_selected_again() -> None:
    full = encoder(*FEATURES)
    part = full.select(USER).select_features(["s__cate"])
    assert (part.outputs, part.columns) == (("s__cate",), ("s__cate",))
    assert_same_encoding(part, full)


def test_select_features_unknown_name_is_rejected() -> None:
    with pytest.raises(ValueError, match=r'no feature "tag"; did you mean "tags"\?'):
        encoder(*FEATURES).select_features(["tag"])
