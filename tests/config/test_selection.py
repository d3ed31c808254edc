from __future__ import annotations

from google.protobuf import text_format

from tzrec.config.selection import keep_features
from tzrec.config.sequences import feature_members
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CONFIG = """
model_dir: "m"
data_config { dataset_type: ParquetDataset label_fields: "clk" }
feature_configs { id_feature { feature_name: "a" expression: "user:a" num_buckets: 9 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "b" expression: "user:b" num_buckets: 9 embedding_dim: 4 } }
feature_configs { raw_feature { feature_name: "c" expression: "feature:d" } }
feature_configs { expr_feature { feature_name: "d" expression: "e + f" variables: ["feature:e", "item:f"] } }
feature_configs { raw_feature { feature_name: "e" expression: "user:e" stub_type: true } }
feature_configs { raw_feature { feature_name: "f" expression: "user:f" } }
feature_configs { id_feature { feature_name: "session" expression: "user:s" num_buckets: 9 embedding_dim: 4 } }
feature_configs {
  sequence_feature {
    sequence_name: "s" sequence_length: 5 sequence_delim: ";"
    features { id_feature { feature_name: "x" expression: "item:x" num_buckets: 9 embedding_dim: 4 } }
    features { id_feature { feature_name: "y" expression: "item:y" num_buckets: 9 embedding_dim: 4 } }
    features { id_feature { feature_name: "z" expression: "item:z" num_buckets: 9 embedding_dim: 4 } }
  }
}
feature_configs { sequence_id_feature { feature_name: "t" expression: "item:t" num_buckets: 9 embedding_dim: 4 } }
model_config {
  feature_groups { group_name: "deep" feature_names: ["c", "a", "b"] group_type: DEEP }
  feature_groups { group_name: "wide" feature_names: ["b", "a"] group_type: WIDE }
  feature_groups { group_name: "seq" feature_names: ["b", "s__y"] group_type: SEQUENCE }
  deepfm { deep { hidden_units: 4 } }
  metrics { grouped_auc { grouping_key: "session" } }
}
"""


def names(config: EasyRecConfig) -> list[str]:
    return [member.message.feature_name for entry in config.feature_configs for member in feature_members(entry)]


def groups(config: EasyRecConfig) -> dict[str, list[str]]:
    return {group.group_name: list(group.feature_names) for group in config.model_config.feature_groups}


def test_unused_features_are_removed() -> None:
    """ "d" reads the column f, not the feature of that name."""
    config = text_format.Parse(CONFIG, EasyRecConfig())
    selected = keep_features(config, {"deep": {"c"}, "wide": {"a"}})
    assert groups(selected) == {"deep": ["c"], "wide": ["a"], "seq": ["b", "s__y"]}
    assert names(selected) == ["a", "b", "c", "d", "e", "session", "s__y"]
    assert config == text_format.Parse(CONFIG, EasyRecConfig())


def test_features_read_only_by_removed_features_are_removed() -> None:
    config = text_format.Parse(CONFIG, EasyRecConfig())
    del config.model_config.feature_groups[2], config.model_config.metrics[:]
    assert names(keep_features(config, {"deep": {"a", "b"}})) == ["a", "b"]
    assert groups(keep_features(config, {"wide": {"a", "b"}})) == {"deep": ["c", "a", "b"], "wide": ["b", "a"]}
