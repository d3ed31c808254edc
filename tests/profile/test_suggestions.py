from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format

from tests.data.numbered import make_config
from tzrec.profile.feature_targets import FeatureTarget, subjects
from tzrec.profile.suggestions import Suggestion, outside, propose, together
from tzrec.protos.pipeline_pb2 import EasyRecConfig

HEAD = 'train_input_path: "" eval_input_path: "" model_dir: "" data_config { dataset_type: ParquetDataset } '


def features(config: EasyRecConfig) -> list[FeatureTarget]:
    found, notes = subjects(config)
    assert notes == []
    return found


def config_of(*features: str, mode: str = "FG_DAG") -> EasyRecConfig:
    config = text_format.Parse(HEAD, EasyRecConfig())
    config.data_config.fg_mode = make_config(f"fg_mode: {mode}").data_config.fg_mode
    for each in features:
        text_format.Parse(each, config.feature_configs.add())
    return config


def proposals(feature: str, values: Any, *refit: str, mode: str = "FG_DAG") -> dict[str, Any]:
    """Field -> (old, new) for one feature and one column."""
    config = config_of(feature, mode=mode)
    (fitted,) = features(config)
    stats = fitted.look()
    stats.add(pa.array(values))
    found = propose(config, fitted, stats, refit)
    return {each.path.rpartition(".")[2]: (each.old, each.new) for each in found}


def id_feature(text: str) -> str:
    return f'id_feature {{ feature_name: "f" expression: "user:c" {text} }}'


def raw_feature(text: str) -> str:
    return f'raw_feature {{ feature_name: "f" expression: "user:c" {text} }}'


MANY = np.arange(200)


def test_what_an_id_leaves_open() -> None:
    assert proposals(id_feature(""), ["x", "y", "x"]) == {
        "vocab_list": (None, ["x", "y"]),
        "embedding_dim": (None, 12),
    }
    assert proposals(id_feature("embedding_dim: 8"), MANY) == {"hash_bucket_size": (None, 1000)}
    assert proposals(id_feature("embedding_dim: 8 hash_bucket_size: 7"), MANY) == {}
    assert proposals(id_feature("embedding_dim: 8 zch { zch_size: 9 }"), MANY, "hash_bucket_size") == {}


def test_what_is_asked_for_anew() -> None:
    assert proposals(id_feature("embedding_dim: 8 hash_bucket_size: 7"), MANY, "hash_bucket_size") == {
        "hash_bucket_size": (7, 1000)
    }
    assert proposals(id_feature("embedding_dim: 8 hash_bucket_size: 7"), MANY, "embedding_dim") == {
        "embedding_dim": (8, 12)
    }
    assert proposals(id_feature("embedding_dim: 8 num_buckets: 7"), MANY, "num_buckets") == {"num_buckets": (7, 200)}
    assert proposals(id_feature('embedding_dim: 8 vocab_list: ["x", "z"]'), ["y", "x", "y"], "vocab_list") == {
        "vocab_list": (["x", "z"], ["y", "x"])
    }


def test_the_width_of_all_other_features_is_kept() -> None:
    other = 'id_feature { feature_name: "g" expression: "user:d" hash_bucket_size: 9 embedding_dim: 6 }'
    config = config_of(id_feature(""), other)
    fitted = features(config)[0]
    stats = fitted.look()
    stats.add(pa.array(["x"]))
    assert [each.new for each in propose(config, fitted, stats, ())] == [["x"], 6]


def test_numbers() -> None:
    rng = np.random.default_rng(1)
    values = rng.lognormal(3, 1.5, 4000)
    assert proposals(raw_feature(""), values) == {"normalizer": (None, "method=log10")}
    old = "method=zscore,mean=1,standard_deviation=2"
    scaled = raw_feature(f'normalizer: "{old}"')
    assert proposals(scaled, values) == {}
    new = f"method=zscore,mean={values.mean():.6g},standard_deviation={values.std():.6g}"
    assert proposals(scaled, values, "normalizer") == {"normalizer": (old, new)}
    assert proposals(raw_feature('normalizer: "method=expression,expr=x+1"'), values, "normalizer") == {}


def test_edges() -> None:
    values = np.arange(1000.0)
    open_edges = proposals(raw_feature("embedding_dim: 8"), values)
    assert list(open_edges) == ["boundaries"]
    assert len(open_edges["boundaries"][1]) == 15
    assert proposals(raw_feature("embedding_dim: 8 boundaries: [1, 2, 3]"), values) == {}
    again = proposals(raw_feature("embedding_dim: 8 boundaries: [1, 2, 3]"), values, "boundaries")
    assert again == {"boundaries": ([1.0, 2.0, 3.0], [249.0, 499.0, 749.0])}
    assert proposals(raw_feature("boundaries: [1, 2, 3]"), values) == {"embedding_dim": (None, 12)}
    scaled = raw_feature('embedding_dim: 8 boundaries: [1, 2, 3] normalizer: "method=minmax,min=0,max=1000"')
    found = proposals(scaled, values, "boundaries", "normalizer")
    np.testing.assert_allclose(found.pop("boundaries")[1], [0.249, 0.499, 0.749], rtol=1e-6)
    assert found == {}  # the edges stand in the scale of the normalizer, so it stays


def test_text_is_read_as_the_feature_reads_it() -> None:
    assert proposals(id_feature('separator: "|"'), ["x|y", "y"])["vocab_list"] == (None, ["y", "x"])
    weighted = id_feature('separator: "|" weighted: true')
    assert proposals(weighted, ["x:0.5|y:2", "y:1"])["vocab_list"] == (None, ["y", "x"])
    steps = f"sequence_{id_feature('sequence_length: 9')}"
    assert proposals(steps, ["x;y;x", None])["vocab_list"] == (None, ["x", "y"])
    assert proposals(raw_feature(""), ["5", "x", "7"])["normalizer"][1] == "method=minmax,min=5,max=7"


def test_features_of_a_group_have_their_full_paths_and_columns() -> None:
    inner = 'features { raw_feature { feature_name: "a" expression: "user:x" } }'
    inner += 'features { id_feature { feature_name: "b" expression: "user:y" } }'
    config = config_of(f'sequence_feature {{ sequence_name: "s" sequence_length: 3 sequence_delim: ";" {inner} }}')
    found = features(config)
    assert [(each.name, *each.columns) for each in found] == [("s__a", "s__x"), ("s__b", "s__y")]
    assert found[1].entry.path == "feature_configs[0].sequence_feature.features[1].id_feature"


def test_which_features_are_looked_at() -> None:
    texts = [
        id_feature("hash_bucket_size: 9"),
        'id_feature { feature_name: "stub" expression: "user:d" stub_type: true }',
        'id_feature { feature_name: "derived" expression: "feature:f" }',
    ]
    names = {
        mode: [each.columns[0] for each in features(config_of(*texts, mode=mode))] for mode in ("FG_DAG", "FG_NONE")
    }
    assert names == {"FG_DAG": ["c", "d"], "FG_NONE": ["f", "derived"]}


def test_encoded_data() -> None:
    assert proposals(id_feature("embedding_dim: 4"), [3, 9, 9], mode="FG_NONE") == {"num_buckets": (None, 10)}
    hashed = id_feature("embedding_dim: 4 hash_bucket_size: 50")
    assert proposals(hashed, [3, 9, 9], "hash_bucket_size", mode="FG_NONE") == {"hash_bucket_size": (50, 10)}
    assert proposals(raw_feature(""), [3.0, 9.0, 90.0], mode="FG_NONE") == {}
    assert proposals(raw_feature(""), [3.0, 9.0, 90.0], mode="FG_BUCKETIZE") == {}
    assert "boundaries" in proposals(raw_feature("embedding_dim: 4"), np.arange(99.0), mode="FG_BUCKETIZE")


def test_a_column_without_values_says_nothing() -> None:
    assert proposals(id_feature(""), pa.array([None, None], pa.string())) == {}


@pytest.mark.parametrize(("values", "is_outside"), [([0, 6], False), ([0, 7], True), ([-1, 3], True), (["x"], False)])
def test_ids_outside_of_the_table(values: list[Any], is_outside: bool) -> None:
    (fitted,) = features(config_of(id_feature("num_buckets: 7")))
    stats = fitted.look()
    stats.add(pa.array(values))
    said = outside(fitted, stats)
    assert bool(said) == is_outside
    if is_outside:
        assert said.startswith("feature_configs[0].id_feature.num_buckets: 7, but c holds ids from ")


def test_a_proposal_says_why() -> None:
    config = config_of(id_feature("embedding_dim: 8"))
    (fitted,) = features(config)
    stats = fitted.look()
    stats.add(pa.array(["x"]))
    why = "f: 1 different values, at most 100: each gets a row of its own"
    assert list(propose(config, fitted, stats, ())) == [
        Suggestion("feature_configs[0].id_feature.vocab_list", None, ["x"], why)
    ]


SHARED = 'id_feature { feature_name: "%s" expression: "user:%s" embedding_name: "t" %s }'


def shared(*texts: str) -> list[dict[str, Any]]:
    """Field -> value of two features, the one on the words a, b and the other on b, c."""
    config = config_of(*texts)
    found = features(config)
    looked = [each.look() for each in found]
    for stats, values in zip(looked, (["a", "b", "b"], ["c", "b"]), strict=True):
        stats.add(pa.array(values))
    pairs = zip(found, together(found, looked), strict=True)
    return [{each.path.rpartition(".")[2]: each.new for each in propose(config, *pair, ())} for pair in pairs]


def test_features_of_one_table_get_one_size() -> None:
    words = {"vocab_list": ["b", "a", "c"], "embedding_dim": 12}
    assert shared(SHARED % ("f", "x", ""), SHARED % ("g", "y", "")) == [words, words]
    known = SHARED % ("f", "x", "hash_bucket_size: 9 embedding_dim: 4")
    assert shared(known, SHARED % ("g", "y", "")) == [{}, {"hash_bucket_size": 9, "embedding_dim": 4}]
    alone = (SHARED % ("g", "y", "")).replace('"t"', '"u"')
    assert shared(SHARED % ("f", "x", "embedding_dim: 8"), alone) == [
        {"vocab_list": ["b", "a"]},
        {"vocab_list": ["b", "c"], "embedding_dim": 8},
    ]
