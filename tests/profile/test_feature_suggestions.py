from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.feature_targets import config_of, features, id_feature
from tests.fixtures.features import raw_feature
from tzrec.profile.feature_suggestions import merge_shared, out_of_range, suggest_fields
from tzrec.profile.rules import Suggestion


def suggestions(feature: str, values: Any, *refit: str, mode: str = "FG_DAG") -> dict[str, Any]:
    """Field -> (old, value) for one feature and one column."""
    config = config_of(feature, mode=mode)
    (target,) = features(config)
    stats = target.new_stats()
    stats.add(pa.array(values))
    items = suggest_fields(config, target, stats, refit)
    return {item.path.rpartition(".")[2]: (item.old, item.value) for item in items}


MANY = np.arange(200)


def test_id_feature_gets_the_fields_that_it_leaves_open() -> None:
    assert suggestions(id_feature(""), ["x", "y", "x"]) == {
        "vocab_list": (None, ["x", "y"]),
        "embedding_dim": (None, 12),
    }
    assert suggestions(id_feature("embedding_dim: 8"), MANY) == {"hash_bucket_size": (None, 1000)}
    assert suggestions(id_feature("embedding_dim: 8 hash_bucket_size: 7"), MANY) == {}
    assert suggestions(id_feature("embedding_dim: 8 zch { zch_size: 9 }"), MANY, "hash_bucket_size") == {}


def test_id_feature_with_set_fields_gets_those_to_refit() -> None:
    assert suggestions(id_feature("embedding_dim: 8 hash_bucket_size: 7"), MANY, "hash_bucket_size") == {
        "hash_bucket_size": (7, 1000)
    }
    assert suggestions(id_feature("embedding_dim: 8 hash_bucket_size: 7"), MANY, "embedding_dim") == {
        "embedding_dim": (8, 12)
    }
    assert suggestions(id_feature("embedding_dim: 8 num_buckets: 7"), MANY, "num_buckets") == {"num_buckets": (7, 200)}
    assert suggestions(id_feature('embedding_dim: 8 vocab_list: ["x", "z"]'), ["y", "x", "y"], "vocab_list") == {
        "vocab_list": (["x", "z"], ["y", "x"])
    }


def test_embedding_dim_is_that_of_all_other_features() -> None:
    other = 'id_feature { feature_name: "g" expression: "user:d" hash_bucket_size: 9 embedding_dim: 6 }'
    config = config_of(id_feature(""), other)
    target = features(config)[0]
    stats = target.new_stats()
    stats.add(pa.array(["x"]))
    assert [item.value for item in suggest_fields(config, target, stats, ())] == [["x"], 6]


def test_raw_feature_gets_a_normalizer() -> None:
    rng = np.random.default_rng(1)
    values = rng.lognormal(3, 1.5, 4000)
    assert suggestions(raw_feature(""), values) == {"normalizer": (None, "method=log10")}
    old = "method=zscore,mean=1,standard_deviation=2"
    scaled = raw_feature(f'normalizer: "{old}"')
    assert suggestions(scaled, values) == {}
    new = f"method=zscore,mean={values.mean():.6g},standard_deviation={values.std():.6g}"
    assert suggestions(scaled, values, "normalizer") == {"normalizer": (old, new)}
    assert suggestions(raw_feature('normalizer: "method=expression,expr=x+1"'), values, "normalizer") == {}


def test_raw_feature_with_embedding_gets_boundaries() -> None:
    values = np.arange(1000.0)
    initial = suggestions(raw_feature("embedding_dim: 8"), values)
    assert list(initial) == ["boundaries"]
    assert len(initial["boundaries"][1]) == 15
    assert suggestions(raw_feature("embedding_dim: 8 boundaries: [1, 2, 3]"), values) == {}
    refitted = suggestions(raw_feature("embedding_dim: 8 boundaries: [1, 2, 3]"), values, "boundaries")
    assert refitted == {"boundaries": ([1.0, 2.0, 3.0], [249.0, 499.0, 749.0])}
    assert suggestions(raw_feature("boundaries: [1, 2, 3]"), values) == {"embedding_dim": (None, 12)}
    scaled = raw_feature('embedding_dim: 8 boundaries: [1, 2, 3] normalizer: "method=minmax,min=0,max=1000"')
    items = suggestions(scaled, values, "boundaries", "normalizer")
    np.testing.assert_allclose(items.pop("boundaries")[1], [0.249, 0.499, 0.749], rtol=1e-6)
    assert items == {}  # the boundaries are in the scale of the normalizer, which is kept


def test_text_is_split_as_the_feature_splits_it() -> None:
    assert suggestions(id_feature('separator: "|"'), ["x|y", "y"])["vocab_list"] == (None, ["y", "x"])
    weighted = id_feature('separator: "|" weighted: true')
    assert suggestions(weighted, ["x:0.5|y:2", "y:1"])["vocab_list"] == (None, ["y", "x"])
    sequence = f"sequence_{id_feature('sequence_length: 9')}"
    assert suggestions(sequence, ["x;y;x", None])["vocab_list"] == (None, ["x", "y"])
    assert suggestions(raw_feature(""), ["5", "x", "7"])["normalizer"][1] == "method=minmax,min=5,max=7"


def test_feature_targets_of_a_sequence_group_have_full_paths_and_columns() -> None:
    inner = 'features { raw_feature { feature_name: "a" expression: "user:x" } }'
    inner += 'features { id_feature { feature_name: "b" expression: "user:y" } }'
    config = config_of(f'sequence_feature {{ sequence_name: "s" sequence_length: 3 sequence_delim: ";" {inner} }}')
    targets = features(config)
    assert [(target.name, *target.columns) for target in targets] == [("s__a", "s__x"), ("s__b", "s__y")]
    assert targets[1].entry.path == "feature_configs[0].sequence_feature.features[1].id_feature"


def test_feature_targets_depend_on_the_mode() -> None:
    texts = [
        id_feature("hash_bucket_size: 9"),
        'id_feature { feature_name: "stub" expression: "user:d" stub_type: true }',
        'id_feature { feature_name: "derived" expression: "feature:f" }',
    ]
    names = {
        mode: [target.columns[0] for target in features(config_of(*texts, mode=mode))] for mode in ("FG_DAG", "FG_NONE")
    }
    assert names == {"FG_DAG": ["c", "d"], "FG_NONE": ["f", "derived"]}


def test_encoded_data_gets_sizes_of_its_ids() -> None:
    assert suggestions(id_feature("embedding_dim: 4"), [3, 9, 9], mode="FG_NONE") == {"num_buckets": (None, 10)}
    hashed = id_feature("embedding_dim: 4 hash_bucket_size: 50")
    assert suggestions(hashed, [3, 9, 9], "hash_bucket_size", mode="FG_NONE") == {"hash_bucket_size": (50, 10)}
    assert suggestions(raw_feature(""), [3.0, 9.0, 90.0], mode="FG_NONE") == {}
    assert suggestions(raw_feature(""), [3.0, 9.0, 90.0], mode="FG_BUCKETIZE") == {}
    assert "boundaries" in suggestions(raw_feature("embedding_dim: 4"), np.arange(99.0), mode="FG_BUCKETIZE")


def test_column_without_values_gets_no_suggestion() -> None:
    assert suggestions(id_feature(""), pa.array([None, None], pa.string())) == {}


@pytest.mark.parametrize(("values", "is_outside"), [([0, 6], False), ([0, 7], True), ([-1, 3], True), (["x"], False)])
def test_out_of_range_reports_ids_outside_of_the_table(values: list[Any], is_outside: bool) -> None:
    (target,) = features(config_of(id_feature("num_buckets: 7")))
    stats = target.new_stats()
    stats.add(pa.array(values))
    message = out_of_range(target, stats)
    assert bool(message) == is_outside
    if is_outside:
        assert message.startswith("feature_configs[0].id_feature.num_buckets: 7, but c holds ids from ")


def test_suggestion_holds_path_and_reason() -> None:
    config = config_of(id_feature("embedding_dim: 8"))
    (target,) = features(config)
    stats = target.new_stats()
    stats.add(pa.array(["x"]))
    reason = "f: 1 distinct values, at most 100: each gets a row of its own"
    assert list(suggest_fields(config, target, stats, ())) == [
        Suggestion(["x"], reason, "feature_configs[0].id_feature.vocab_list")
    ]


SHARED = 'id_feature { feature_name: "%s" expression: "user:%s" embedding_name: "t" %s }'


def shared(*texts: str) -> list[dict[str, Any]]:
    """Field -> value of two features, one on the words a, b and one on b, c."""
    config = config_of(*texts)
    targets = features(config)
    columns = [target.new_stats() for target in targets]
    for stats, values in zip(columns, (["a", "b", "b"], ["c", "b"]), strict=True):
        stats.add(pa.array(values))
    pairs = zip(targets, merge_shared(targets, columns), strict=True)
    return [{item.path.rpartition(".")[2]: item.value for item in suggest_fields(config, *pair, ())} for pair in pairs]


def test_features_of_one_table_get_the_same_size() -> None:
    fields = {"vocab_list": ["b", "a", "c"], "embedding_dim": 12}
    assert shared(SHARED % ("f", "x", ""), SHARED % ("g", "y", "")) == [fields, fields]
    sized = SHARED % ("f", "x", "hash_bucket_size: 9 embedding_dim: 4")
    assert shared(sized, SHARED % ("g", "y", "")) == [{}, {"hash_bucket_size": 9, "embedding_dim": 4}]
    alone = (SHARED % ("g", "y", "")).replace('"t"', '"u"')
    assert shared(SHARED % ("f", "x", "embedding_dim: 8"), alone) == [
        {"vocab_list": ["b", "a"]},
        {"vocab_list": ["b", "c"], "embedding_dim": 8},
    ]
