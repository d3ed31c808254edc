from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from tests.fixtures.numbered_rows import make_config, open_loader
from tzrec.data.batch import BASE
from tzrec.data.synthetic import make_data, make_table

FEATURES = r"""
train_input_path: "" eval_input_path: "" model_dir: ""
data_config {
  dataset_type: ParquetDataset batch_size: 64 with_header: true
  label_fields: ["clk", "stars", "pay", "buy"] sample_weight_fields: ["w"]
}
feature_configs { id_feature { feature_name: "bucket" expression: "user:a" num_buckets: 7 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "hash" expression: "user:b" hash_bucket_size: 50 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "same" expression: "user:b" hash_bucket_size: 9 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "list" expression: "item:c" vocab_list: ["x", "y"] embedding_dim: 4 } }
feature_configs { id_feature {
  feature_name: "dict" expression: "item:d" vocab_dict { key: "u" value: 2 } vocab_dict { key: "v" value: 3 }
  embedding_dim: 4 default_value: "u"
} }
feature_configs { id_feature {
  feature_name: "tags" expression: "item:e" num_buckets: 9 value_dim: 0 weighted: true embedding_dim: 4
} }
feature_configs { id_feature {
  feature_name: "three" expression: "item:g" num_buckets: 9 value_dim: 3 separator: "|" embedding_dim: 4
} }
feature_configs { raw_feature { feature_name: "price" expression: "item:h" normalizer: "method=log10" } }
feature_configs { raw_feature { feature_name: "vector" expression: "item:i" value_dim: 3 } }
feature_configs { raw_feature { feature_name: "cut" expression: "item:j" boundaries: [1, 2, 3] embedding_dim: 4 } }
model_config {
  mmoe {
    expert_mlp {}
    task_towers { tower_name: "a" label_name: "clk" losses { binary_cross_entropy {} } }
    task_towers { tower_name: "b" label_name: "stars" num_class: 5 losses { softmax_cross_entropy {} } }
    task_towers { tower_name: "c" label_name: "pay" losses { l2_loss {} } }
    task_towers { tower_name: "d" label_name: "buy" task_space_indicator_label: "clk" }
  }
}
"""


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_DAG"])
@pytest.mark.parametrize("kind", ["ParquetDataset", "CsvDataset"])
def test_make_data_writes_all_types_of_columns_without_a_bad_row(tmp_path: Path, mode: str, kind: str) -> None:
    config = make_config(f"fg_mode: {mode} dataset_type: {kind}", FEATURES)
    make_data(config, str(tmp_path), rows=150, seed=3)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split(".")[0] for name in files] == ["part-0", "part-1"]
    batches = list(open_loader(config, f"{tmp_path}/*").epoch())  # the policy is ERROR
    assert [batch.rows for batch in batches] == [64, 64, 22]
    sparse, dense = batches[0].sparse[BASE], batches[0].dense[BASE]
    assert sparse.keys() == ["bucket", "hash", "same", "list", "dict", "tags", "three", "cut"]
    assert dense.keys() == ["price", "vector"]
    assert dense.values().shape == (64, 4)
    lengths = sparse["tags"].lengths()
    assert set(lengths.tolist()) - {0} == {1, 2, 3}
    assert sparse["tags"].weights().unique().numel() > 10
    assert set(sparse["three"].lengths().tolist()) <= {0, 3}
    assert sparse["cut"].values().min() >= 0
    assert sparse["cut"].values().max() == 3
    labels = batches[0].labels
    assert set(labels["clk"].tolist()) == {0, 1}
    assert set(labels["stars"].tolist()) == {0, 1, 2, 3, 4}
    assert labels["pay"].is_floating_point()
    assert ((labels["buy"] == 0) | (labels["clk"] == 1)).all()
    assert labels["buy"].sum() > 0
    assert 0.5 <= batches[0].weights["w"].min() <= batches[0].weights["w"].max() <= 1.5


def test_make_table_label_depends_on_the_feature() -> None:
    """With one feature the signal is its value: as a score for sigmoid(2 z) it has an AUC far above one half."""
    text = (
        FEATURES.split("feature_configs")[0]
        + 'feature_configs { raw_feature { feature_name: "x" expression: "user:x" } }'
    )
    table = make_table(make_config("fg_mode: FG_DAG", text), rows=2000)
    assert roc_auc_score(table["clk"].to_numpy(), table["x"].to_numpy()) > 0.8


def test_make_table_with_equal_seeds_draws_equal_rows(tmp_path: Path) -> None:
    config = make_config("fg_mode: FG_DAG", FEATURES)
    assert make_table(config, 50, seed=1).equals(make_table(config, 50, seed=1))
    assert not make_table(config, 50, seed=1).equals(make_table(config, 50, seed=2))
    make_data(config, f"{tmp_path}/deep/er/x-*.parquet", rows=5)
    assert [pq.read_metadata(f"{tmp_path}/deep/er/x-part-{part}.parquet").num_rows for part in (0, 1)] == [2, 3]


def test_make_data_without_header_writes_the_declared_columns(tmp_path: Path) -> None:
    fields = 'input_fields { input_name: "x" input_type: FLOAT } input_fields { input_name: "unused" }'
    fields += ' input_fields { input_name: "clk" } input_fields { input_name: "w" }'
    text = (
        FEATURES.split("feature_configs")[0]
        + 'feature_configs { raw_feature { feature_name: "x" expression: "user:x" } }'
    )
    text = text.replace('["clk", "stars", "pay", "buy"]', '["clk"]').replace("with_header: true", "with_header: false")
    config = make_config(rf'fg_mode: FG_DAG dataset_type: CsvDataset num_streams: 1 delimiter: "\t" {fields}', text)
    make_data(config, str(tmp_path), rows=10)
    lines = (tmp_path / "part-0.csv").read_text().splitlines()
    assert len(lines) == 5
    assert [cell == "" for cell in lines[0].split("\t")] == [False, True, False, False]
    (batch,) = open_loader(config, f"{tmp_path}/*.csv").epoch()
    expected = [
        float(line.split("\t")[0]) for path in sorted(tmp_path.iterdir()) for line in path.read_text().splitlines()
    ]
    np.testing.assert_allclose(batch.dense[BASE].values()[:, 0], expected, rtol=1e-6)


COMPUTED = r"""
feature_configs { expr_feature {
  feature_name: "expr" expression: "log(n) + o" variables: ["user:n", "item:o"] boundaries: [1, 3, 5] embedding_dim: 4
} }
feature_configs { overlap_feature {
  feature_name: "overlap" query: "user:q" title: "item:t" method: "query_common_ratio" separator: "|"
} }
feature_configs { kv_dot_product { feature_name: "kv" query: "user:k" document: "item:l" separator: "|" } }
feature_configs { bool_mask_feature {
  feature_name: "mask" expression: ["user:v", "user:m"] num_buckets: 9 embedding_dim: 4
} }
"""


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_DAG"])
def test_make_data_for_computed_features_gives_valid_inputs(mode: str, tmp_path: Path) -> None:
    config = make_config(f"fg_mode: {mode}", FEATURES.replace("model_config {", COMPUTED + "model_config {"))
    make_data(config, str(tmp_path), rows=300, seed=3)
    (batch, *_) = open_loader(config, f"{tmp_path}/*").epoch()  # the policy is ERROR
    assert set(batch.dense[BASE].keys()) == {"price", "vector", "overlap", "kv"}
    assert len(set(batch.dense[BASE]["overlap"][:, 0].tolist())) > 2
    assert len(set(batch.dense[BASE]["kv"][:, 0].tolist())) > 10
    for name in ("expr", "mask"):
        assert len(batch.sparse[BASE][name].values().unique()) > 2


LOOKUPS = r"""
feature_configs { combo_feature {
  feature_name: "cross" expression: ["user:a", "item:x"] hash_bucket_size: 50 embedding_dim: 4
} }
feature_configs { lookup_feature { feature_name: "count" map: "user:kv" key: "item:y" default_value: "-9" } }
feature_configs { lookup_feature {
  feature_name: "vector" map: "user:kv3" key: "user:a" value_dim: 3 default_value: "0,0,0"
} }
feature_configs { lookup_feature {
  feature_name: "found" map: "user:kid" key: "const:word3" vocab_list: ["p", "q"] embedding_dim: 4
} }
feature_configs { match_feature {
  feature_name: "match" nested_map: "user:kkv" pkey: "user:a" skey: "item:y" boundaries: [1, 3] embedding_dim: 4
} }
feature_configs { match_feature {
  feature_name: "matches" nested_map: "user:kkid" pkey: "ALL" skey: "item:y" hash_bucket_size: 50 embedding_dim: 4
} }
feature_configs { combine_feature { feature_name: "sum" expression: "user:n" num_buckets: 30 embedding_dim: 4 } }
feature_configs { combine_feature {
  feature_name: "mapped" expression: "user:words" value_map { key: "u" value: 1 } value_map { key: "v" value: 2 }
} }
"""


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
def test_make_data_for_lookups_writes_maps_with_their_keys(mode: str, tmp_path: Path) -> None:
    texts = FEATURES.replace('"vector"', '"plain"').replace("model_config {", LOOKUPS + "model_config {")
    if mode == "FG_NORMAL":  # in this mode const:word3 is an ordinary column
        texts = texts.replace("const:", "item:")
    config = make_config(f"fg_mode: {mode} batch_size: 300", texts.replace("batch_size: 64", ""))
    make_data(config, str(tmp_path), rows=300, seed=3)
    (batch, *_) = open_loader(config, f"{tmp_path}/*").epoch()  # the policy is ERROR
    for name in ("count", "vector", "mapped"):
        assert len(batch.dense[BASE][name].unique(dim=0)) > 2, name
    assert batch.dense[BASE]["vector"].shape == (300, 3)
    for name in ("cross", "found", "match", "matches", "sum"):
        assert len(batch.sparse[BASE][name].values().unique()) > 1, name
    assert mode == "FG_NONE" or (batch.dense[BASE]["count"] != -9).float().mean() > 0.5
