"""Feature.with_bucketizer: a copy whose ids come from another bucketizer, for every feature type with ids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import elements_by_row, encoder, ids_by_row
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows, InvalidValues
from tzrec.features.bucketize import Bucketizer
from tzrec.features.jagged import Elements


class Constant(Bucketizer):
    """Maps every value to the id 7."""

    def __init__(self, bucketizer: Bucketizer) -> None:
        self.rows = bucketizer.rows

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        return np.full(len(elements), 7), []


IDS = 'hash_bucket_size: 50 embedding_dim: 4 default_value: "x"'
EDGES = "boundaries: [0, 1, 2] embedding_dim: 4"
FEATURES = {
    "id": f'id_feature {{ feature_name: "f" expression: "user:c" {IDS} }}',
    "raw": f'raw_feature {{ feature_name: "f" expression: "user:c" default_value: "5" {EDGES} }}',
    "combo": f'combo_feature {{ feature_name: "f" expression: ["user:c", "user:c"] {IDS} }}',
    "combine": f'combine_feature {{ feature_name: "f" expression: "user:c" default_value: "5" {EDGES} }}',
    "expr": f'expr_feature {{ feature_name: "f" expression: "c + 1" variables: "user:c" default_value: "5" {EDGES} }}',
}
COLUMN = pa.array(["1", None, "2"])


@pytest.mark.parametrize("name", FEATURES)
def test_ids_come_from_given_bucketizer_without_default(name: str) -> None:
    feature = encoder(FEATURES[name]).features["f"]
    before = ids_by_row(feature.encode({"c": COLUMN}, BadRows(3)))
    column = feature.with_bucketizer(Constant).encode({"c": COLUMN}, BadRows(3))
    assert ids_by_row(column) == [[7], [], [7]]
    after = ids_by_row(feature.encode({"c": COLUMN}, BadRows(3)))
    assert after == before != ids_by_row(column)  # the feature itself is unchanged


def test_sequence_elements_come_from_given_bucketizer() -> None:
    text = f'sequence_id_feature {{ feature_name: "f" expression: "user:c" sequence_delim: ";" {IDS} }}'
    feature = encoder(text).features["f"].with_bucketizer(Constant)
    assert elements_by_row(feature.encode({"c": pa.array(["a;;b", None])}, BadRows(2))) == [[[7], [], [7]], [[]]]


def test_dense_feature_is_copied_unchanged() -> None:
    feature = encoder('raw_feature { feature_name: "f" expression: "user:c" }').features["f"]
    copy = feature.with_bucketizer(Constant)
    assert copy is not feature
    assert copy.encode({"c": COLUMN}, BadRows(3)).values.tolist() == [[1], [0], [2]]
