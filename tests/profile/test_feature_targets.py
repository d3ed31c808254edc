from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.feature_targets import config_of, features, id_feature
from tzrec.profile.feature_suggestions import suggest_fields
from tzrec.profile.feature_targets import feature_targets

CROSS = 'combo_feature { feature_name: "f" expression: "user:a" expression: "item:b" %s }'
LOOKUP = 'lookup_feature { feature_name: "f" map: "user:kv" key: "item:b" %s }'
GROUP = 'sequence_feature { sequence_name: "s" sequence_length: 9 sequence_delim: ";" %s }'


def suggestions(batch: dict[str, Any], *texts: str, refit: tuple[str, ...] = ()) -> dict[str, Any]:
    """Field -> value for the first feature."""
    config = config_of(*texts)
    first = features(config)[0]
    stats = first.new_stats()
    stats.add_batch(pa.record_batch(batch))
    return {item.path: item.value for item in suggest_fields(config, first, stats, refit)}


def test_combo_feature_gets_a_table_for_its_pairs() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.zipf(1.3, 3000).clip(max=40), rng.integers(0, 30, 3000)
    pairs = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    fields = suggestions({"a": a, "b": b}, CROSS % "")
    assert fields["feature_configs[0].combo_feature.hash_bucket_size"] == pytest.approx(5 * pairs, abs=100)
    assert fields["feature_configs[0].combo_feature.embedding_dim"] == 4 * np.ceil((8 + pairs**0.25) / 4)
    assert suggestions({"a": a, "b": b}, CROSS % "hash_bucket_size: 9 embedding_dim: 4") == {}
    refitted = suggestions(
        {"a": a, "b": b}, CROSS % "hash_bucket_size: 9 embedding_dim: 4", refit=("hash_bucket_size",)
    )
    assert list(refitted.values()) == [fields["feature_configs[0].combo_feature.hash_bucket_size"]]


def test_computed_numbers_get_boundaries_and_normalizers() -> None:
    a, b = np.arange(1.0, 401), np.full(400, 2.0)
    formula = 'expr_feature { feature_name: "f" expression: "a * b" variables: "user:a" variables: "item:b" %s }'
    edges = suggestions({"a": a, "b": b}, formula % "embedding_dim: 4")["feature_configs[0].expr_feature.boundaries"]
    assert edges == [50.0 * i for i in range(1, 16)]
    assert suggestions({"a": a, "b": b}, formula % "") == {}  # a formula has no normalizer
    maps = {"kv": ["x:10\x1dy:0", "x:20", "y:30"], "b": ["x", "x", "y"]}
    assert suggestions(maps, LOOKUP % "") == {
        "feature_configs[0].lookup_feature.normalizer": "method=minmax,min=10,max=30"
    }
    assert suggestions(maps, LOOKUP % "need_discrete: true") == {
        "feature_configs[0].lookup_feature.hash_bucket_size": 15,
        "feature_configs[0].lookup_feature.embedding_dim": 12,
    }
    assert suggestions(maps, LOOKUP % "boundaries: [5, 6] embedding_dim: 4", refit=("boundaries",)) == {
        "feature_configs[0].lookup_feature.boundaries": [20.0, 30.0]
    }


def test_features_that_read_features_are_encoded_with_them() -> None:
    raw = 'raw_feature { feature_name: "cut" expression: "user:a" boundaries: [10, 20] embedding_dim: 4 }'
    base = 'raw_feature { feature_name: "base" expression: "user:a" }'
    deep = CROSS.replace("user:a", "feature:cut") % ""
    batch = {"a": np.arange(40.0), "b": np.arange(40) % 2}
    fields = suggestions(batch, deep, raw, base)
    assert fields["feature_configs[0].combo_feature.hash_bucket_size"] == 5 * 6  # three buckets, two values
    _, notes = feature_targets(config_of(CROSS.replace("user:a", "feature:none") % ""))
    message = 'no feature "none" for "feature:none"; known: f'
    assert notes == [f"feature_configs[0].combo_feature is skipped: {message}"]


def test_feature_of_a_sequence_group_is_encoded_from_its_elements() -> None:
    inner = f"features {{ {CROSS % ''} }} features {{ {id_feature('')} }}"
    batch = {"a": ["u", "v"], "s__b": ["x;y;x", "x"], "s__c": ["1", "2"]}
    fields = suggestions(batch, GROUP % inner.replace('"f"', '"g"', 1))
    assert fields["feature_configs[0].sequence_feature.features[0].combo_feature.hash_bucket_size"] == 5 * 3
    names = [(target.name, target.columns) for target in features(config_of(GROUP % inner.replace('"f"', '"g"', 1)))]
    assert names == [("s__g", ("a", "s__b")), ("s__f", ("s__c",))]


def test_custom_and_tokenize_features_have_no_target() -> None:
    texts = [
        'custom_feature { feature_name: "custom" expression: "user:a" operator_name: "x:Y" }',
        'tokenize_feature { feature_name: "tokens" expression: "user:a" vocab_file: "none" embedding_dim: 4 }',
    ]
    assert feature_targets(config_of(*texts)) == ([], [])
    assert features(config_of(CROSS % "", mode="FG_NONE")) == []
