"""Dense features can be embedded; their encoded values are the numbers."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.fixtures.features import encoder
from tzrec.errors import ConfigError
from tzrec.features.base import DenseEmbedding

ROWS = pa.table(
    {
        "c": ["3", "4"],
        "d": ["5", "6"],
        "m": [1, 2],
        "n": [8, 9],
        "kv": ["3:7", "4:8"],
        "kkv": ["3^5:7", "4^6:8"],
        "words": ["a\x1db", "a"],
        "more": ["a\x1db", "b"],
    }
)
NUMBERS = {
    "raw_feature": ('expression: "user:c"', [[3], [4]]),
    "expr_feature": ('expression: "c + d" variables: ["user:c", "user:d"]', [[8], [10]]),
    "overlap_feature": ('query: "user:words" title: "item:more" method: "is_equal"', [[1], [0]]),
    "kv_dot_product": ('query: "user:words" document: "item:more"', [[2], [0]]),
    "lookup_feature": ('map: "user:kv" key: "user:c"', [[7], [8]]),
    "match_feature": ('nested_map: "user:kkv" pkey: "user:c" skey: "user:d"', [[7], [8]]),
    "combine_feature": ('expression: "user:c"', [[3], [4]]),
    "custom_feature": (
        'operator_name: "tests.features.operators:Scaled" expression: ["user:m", "user:n"]',
        [[9], [11]],
    ),
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize(
    ("text", "embedding"),
    [
        ("mlp {}", DenseEmbedding("mlp", 1, 4)),
        ("autodis { num_channels: 3 }", DenseEmbedding("autodis", 1, 4, 3, 0.1, 0.8)),
        ("autodis { num_channels: 9 temperature: 0.3 keep_prob: 0 }", DenseEmbedding("autodis", 1, 4, 9, 0.3, 0.0)),
    ],
)
def test_dense_features_can_be_embedded(kind: str, text: str, embedding: DenseEmbedding) -> None:
    settings, numbers = NUMBERS[kind]
    built = encoder(f'{kind} {{ feature_name: "f" {settings} embedding_dim: 4 {text} }}')
    feature = built.features["f"]
    assert (feature.table, feature.is_sparse, feature.dim, feature.output_dim) == (None, False, 1, 4)
    assert feature.embedding == embedding
    columns, bad = built.encode(ROWS)
    assert not bad
    assert columns["f"].values.tolist() == numbers


def test_piecewise_linear_has_the_edges_of_the_config() -> None:
    embedding = "embedding_dim: 4 piecewise_linear { edges: [0.1, 5] }"
    text = f'raw_feature {{ feature_name: "f" expression: "user:c" {embedding} }}'
    assert encoder(text).features["f"].embedding == DenseEmbedding("piecewise_linear", 1, 4, edges=(0.1, 5.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value_dim: 2 embedding_dim: 4 piecewise_linear { edges: [0, 5] }", "embeds one number; value_dim is 2"),
        ("embedding_dim: 4 piecewise_linear { edges: [5] }", "needs at least 2; received 1"),
    ],
)
def test_piecewise_linear_of_other_settings_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoder(f'raw_feature {{ feature_name: "f" expression: "user:c" {text} }}')


def test_vector_is_embedded_by_mlp() -> None:
    built = encoder('raw_feature { feature_name: "f" expression: "user:c" value_dim: 3 embedding_dim: 4 mlp {} }')
    assert built.features["f"].embedding == DenseEmbedding("mlp", 3, 4)
    plain = encoder('raw_feature { feature_name: "f" expression: "user:c" value_dim: 3 embedding_dim: 4 }')
    assert (plain.features["f"].embedding, plain.features["f"].output_dim) == (None, 3)
