"""Conversion of whole EasyRec configs: what is reported, fg.json, and training with the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

import tzrec
from tests.migration.easyrec.test_convert import DATA, DNN, GROUP, convert, reports
from tzrec.config.load import load_config
from tzrec.errors import ConfigError
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.tools.convert_easyrec_config import main

MODEL = f'model_class: "DeepFM" {GROUP} deepfm {{ dnn {{ {DNN} }}'
REPORTED = [
    ("train_config { save_checkpoints_secs: 5 }", "train_config.save_checkpoints_secs: checkpoints are saved by steps"),
    ("train_config { sync_replicas: true }", "train_config.sync_replicas: ranks always train in step"),
    ("train_config { freeze_gradient: 'a' }", "train_config.freeze_gradient: set trainable: false on features"),
    ("train_config { fine_tune_ckpt_var_map: 'a' }", "train_config.fine_tune_ckpt_var_map: variables of TensorFlow"),
    ("train_config { fine_tune_checkpoint: 'a' }", "train_config.fine_tune_checkpoint: variables of TensorFlow"),
    ("train_config { train_distribute: NoStrategy }", "train_config.train_distribute: torchrun starts the ranks"),
    ("train_config { incr_save_config {} }", "train_config.incr_save_config: changed rows"),
    ("train_config { dead_line: 'a' }", "train_config.dead_line: max_minutes"),
    ("train_config { nonsense: 1 }", "train_config.nonsense: has no counterpart"),
    ("nonsense { a: 1 }", "nonsense: has no counterpart"),
    ("hive_train_input { a: 1 }", "hive_train_input: Hive tables"),
    ("data_config { input_type: TFRecordInput }", "data_config.input_type: TFRecordInput is not known here"),
    ("data_config { input_type: RTPInput }", "data_config.input_type: RTPInput is not known here"),
    ("data_config { label_dim: 2 }", "data_config.label_dim: write one column for each label"),
    ("data_config { ignore_error: true }", "data_config.ignore_error: see data_config.bad_row_policy"),
    ("data_config { prefetch_size: 2 }", "data_config.prefetch_size: num_workers"),
    ("data_config { batch_size: 'x' }", "data_config.batch_size: expected an integer of 32 bits from 0 up"),
    (
        "data_config { input_fields { input_name: 'a' input_type: BOOL user_define_fn: 'f' } }",
        "data_config.input_fields[0].user_define_fn: compute the column before training",
    ),
    (
        "data_config { input_fields { input_name: 'a' input_type: BOOL } }",
        "data_config.input_fields[0].input_type: there is no type BOOL; STRING is used",
    ),
    (
        "feature_configs { input_names: 'a' embedding_dim: 4 num_buckets: 5 hash_bucket_size: 9 }",
        "feature_configs[0].num_buckets: EasyRec uses hash_bucket_size where both are given",
    ),
    (
        "feature_configs { input_names: 'a' embedding_dim: 4 num_buckets: 5 combiner: 'sqrtn' }",
        "feature_configs[0].combiner: there is no pooling sqrtn; mean is used",
    ),
    (
        "feature_configs { input_names: 'a' embedding_dim: 4 num_buckets: 5 ev_params { filter_freq: 2 } }",
        "feature_configs[0].ev_params: tables have a fixed size",
    ),
    (
        "feature_configs { input_names: 'a' embedding_dim: 4 num_buckets: 5 max_partitions: 4 }",
        "feature_configs[0].max_partitions: torchrun and the sharding plan",
    ),
    (
        "feature_configs { input_names: ['a', 'w'] feature_type: TagFeature embedding_dim: 4 num_buckets: 5 }",
        "feature_configs[0].input_names: weights in a second column have no counterpart",
    ),
    (
        "feature_configs { input_names: 'a' feature_type: TagFeature embedding_dim: 4 num_buckets: 5 "
        "kv_separator: '=' }",
        'feature_configs[0].kv_separator: ids and weights are separated by ":" here',
    ),
    (
        "feature_configs { input_names: 's' feature_type: SequenceFeature embedding_dim: 4 num_buckets: 5 "
        "sequence_combiner { attention {} } }",
        "feature_configs[0].sequence_combiner: choose a sequence encoder",
    ),
    (
        "feature_configs { input_names: 'a' feature_type: RawFeature normalizer_fn: 'f' }",
        "feature_configs[0].normalizer_fn: write an expression",
    ),
    (
        "feature_configs { input_names: ['a', 'b'] feature_name: 'l' feature_type: LookupFeature "
        "embedding_dim: 4 num_buckets: 5 lookup_max_sel_elem_num: 3 }",
        "feature_configs[0].lookup_max_sel_elem_num: all elements that are found count",
    ),
    (
        "feature_configs { input_names: ['a', 'b'] feature_type: LookupFeature feature_name: 'l' embedding_dim: 4 "
        "num_buckets: 5 }",
        "feature_configs[0].feature_type: the pairs k:v of a map are separated by",
    ),
    ("feature_configs { input_names: 'a' feature_type: Mystery }", "feature_configs[0].feature_type: Mystery has no"),
    ("model_config { embedding_regularization: 1 }", "model_config.embedding_regularization: see"),
    (f"model_config {{ {MODEL} l2_regularization: 1 }} }}", "model_config.deepfm.l2_regularization: see"),
    (f"model_config {{ {MODEL} }} kd {{ soft_label_name: 'a' }} }}", "model_config.kd: teachers are not supported"),
    (f"model_config {{ {MODEL} }} loss_weight_strategy: Random }}", "model_config.loss_weight_strategy: see"),
    (
        f"model_config {{ {MODEL} }} loss_type: SIGMOID_L2_LOSS }}",
        "model_config.loss_type: SIGMOID_L2_LOSS has no counterpart",
    ),
    (
        f"model_config {{ {MODEL} }} losses {{ loss_type: F1_REWEIGHTED_LOSS }} }}",
        "model_config.losses[0].loss_type: F1_REWEIGHTED_LOSS has no counterpart",
    ),
    (
        f"model_config {{ {MODEL} }} }} eval_config {{ metrics_set {{ max_f1 {{}} }} }}",
        "eval_config.metrics_set[0].max_f1: the metric max_f1 has no counterpart",
    ),
    (
        f"model_config {{ {MODEL} }} }} eval_config {{ metrics_set {{ gauc {{ uid_field: 'u' reduction: 'max' }} }} }}",
        "eval_config.metrics_set[0].gauc.reduction: groups have equal weights here",
    ),
    (f"model_config {{ {MODEL} }} backbone {{ blocks {{}} }} }}", "model_config.backbone: models made of blocks"),
    (
        f"model_config {{ model_class: 'DLRM' {GROUP} dlrm {{ arch_interaction_op: 'cat' }} }}",
        "model_config.dlrm.arch_interaction_op: vectors interact by dot products here",
    ),
    (
        f"model_config {{ model_class: 'MultiTowerBST' {GROUP} seq_att_groups {{ group_name: 's' seq_att_map {{ "
        "key: 'a' hist_seq: 'h' } } multi_tower { bst_towers { input: 's' } } }",
        "model_config.multi_tower.bst_towers: are encoders of groups; EasyRec's block has one linear layer after",
    ),
    (
        "model_config { seq_att_groups { group_name: 's' seq_att_map { key: 'k' hist_seq: 'h' aux_hist_seq: 'x' } } }",
        "model_config.seq_att_groups[0].seq_att_map[0].aux_hist_seq: takes part in the score here",
    ),
    (
        "model_config { feature_groups { group_name: 'g' negative_sampler: true } }",
        "model_config.feature_groups[0].negative_sampler: groups have no mark of a sampler",
    ),
    (
        f"model_config {{ model_class: 'DSSM' dssm {{ user_tower {{ id: 'u' dnn {{ {DNN} }} }} "
        f"item_tower {{ id: 'i' dnn {{ {DNN} }} }} scale_simi: true }} }}",
        "model_config.dssm.scale_simi: the similarity has no learned scale here",
    ),
    (
        "model_config { model_class: 'DSSM' loss_type: CLASSIFICATION dssm { user_tower { id: 'u' dnn { "
        f"{DNN} }} }} item_tower {{ id: 'i' dnn {{ {DNN} }} }} }} }}",
        "model_config.loss_type: two towers are trained by the softmax",
    ),
    (
        "model_config { model_class: 'MIND' mind { time_id_fea: 't' capsule_config { scale_ratio: 2 } } }",
        "model_config.mind.time_id_fea: has no counterpart",
    ),
    (
        "model_config { model_class: 'MIND' mind { user_seq_combine: SUM capsule_config { scale_ratio: 2 } } }",
        "model_config.mind.capsule_config.scale_ratio: has no counterpart",
    ),
    ("export_config { exporter_type: 'large' }", 'export_config.exporter_type: "large" is not known here'),
    ("export_config { dump_embedding_shape: true }", "export_config.dump_embedding_shape: has no counterpart"),
]


@pytest.mark.parametrize(("text", "expected"), REPORTED, ids=[expected.partition(":")[0] for _, expected in REPORTED])
def test_field_without_counterpart_is_reported_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    conversion = convert(tmp_path, f"# a comment\n\n{text}")
    lines = [line for line in reports(conversion) if f" {expected}" in line]
    assert len(lines) == 1, reports(conversion)
    line, column, *_ = lines[0].partition(" ")[0].split(":")
    name = expected.partition(":")[0].rpartition(".")[2]
    assert (line, text[int(column) - 1 :].startswith(name)) == ("3", True)


FG = [
    {"feature_type": "id_feature", "feature_name": "user_id", "expression": "user:user_id", "value_type": "string"},
    {
        "feature_type": "lookup_feature", "feature_name": "kv", "map": "item:item_kv", "key": "user:level",
        "value_type": "float",
    },
    {
        "feature_type": "combo_feature", "feature_name": "combo", "hash_bucket_size": 140,
        "expression": ["user:level", "item:price_level"],
    },
    {
        "sequence_name": "click_100_seq", "sequence_length": 100, "sequence_delim": ";", "sequence_pk": "user:clicks",
        "features": [
            {"feature_type": "id_feature", "feature_name": "item_id", "expression": "item:item_id"},
            {"feature_type": "raw_feature", "feature_name": "ts", "expression": "item:ts"},
        ],
    },
]  # fmt: skip
FG_CONFIG = """
feature_configs { input_names: "user_id" embedding_dim: 4 num_buckets: 1000 }
feature_configs {
  feature_name: "kv" input_names: "kv" feature_type: RawFeature embedding_dim: 4 boundaries: [1.0, 47.00000001]
}
feature_configs {
  feature_name: "combo" input_names: ["level", "price_level"] feature_type: ComboFeature embedding_dim: 4
  hash_bucket_size: 140
}
feature_configs {
  feature_name: "click_100_seq__item_id" input_names: "click_100_seq__item_id" feature_type: SequenceFeature
  sub_feature_type: IdFeature embedding_dim: 24 hash_bucket_size: 1500000 separator: ";" combiner: "sum"
}
feature_configs {
  feature_name: "click_100_seq__ts" input_names: "click_100_seq__ts" feature_type: SequenceFeature
  sub_feature_type: RawFeature embedding_dim: 4 boundaries: [1, 2] separator: ";" combiner: "sum"
}
"""
USER_ID = 'id_feature { feature_name: "user_id" expression: "user:user_id" embedding_dim: 4 num_buckets: 1000 %s }'
KV = (
    'lookup_feature { feature_name: "kv" map: "item:item_kv" key: "user:level" embedding_dim: 4 '
    "boundaries: [1.0, 47.0] %s }"
)
COMBO = (
    'combo_feature { feature_name: "combo" expression: ["user:level", "item:price_level"] embedding_dim: 4 '
    "hash_bucket_size: 140 %s }"
)
CLICKS = (
    'sequence_feature { sequence_name: "click_100_seq" sequence_length: 100 sequence_delim: ";" '
    'sequence_pk: "user:clicks" features { id_feature { feature_name: "item_id" expression: "item:item_id" '
    'embedding_dim: 24 hash_bucket_size: 1500000 %s } } features { raw_feature { feature_name: "ts" '
    'expression: "item:ts" embedding_dim: 4 boundaries: [1, 2] %s } } }'
)


def parse(*texts: str) -> list[FeatureConfig]:
    return [text_format.Parse(text, FeatureConfig()) for text in texts]


def test_features_of_fg_json_take_sizes_from_config(tmp_path: Path) -> None:
    conversion = convert(tmp_path, FG_CONFIG, FG)
    mean, total = 'pooling: "mean"', 'pooling: "sum"'
    expected = parse(USER_ID % mean, KV % mean, COMBO % mean, CLICKS % (total, total))
    assert list(conversion.config.feature_configs) == expected
    assert reports(conversion) == []


def test_features_of_config_take_inputs_and_sequences_from_fg_json(tmp_path: Path) -> None:
    conversion = convert(tmp_path, FG_CONFIG, FG, use_old_fg=True)
    mean, total = 'pooling: "mean"', 'pooling: "sum"'
    expected = parse(CLICKS % (total, total), USER_ID % mean, KV % mean, COMBO % mean)
    assert list(conversion.config.feature_configs) == expected
    assert reports(conversion) == []


def test_sequences_without_fg_json_are_features_of_their_own(tmp_path: Path) -> None:
    conversion = convert(tmp_path, FG_CONFIG)
    kinds = [feature.WhichOneof("feature") for feature in conversion.config.feature_configs]
    assert kinds == ["id_feature", "raw_feature", "combo_feature", "sequence_id_feature", "sequence_raw_feature"]
    ids = conversion.config.feature_configs[3].sequence_id_feature
    assert (ids.expression, ids.sequence_length, ids.sequence_delim) == ("user:click_100_seq__item_id", 0, ";")


ENTRIES: list[tuple[dict[str, Any], str]] = [
    (
        {"feature_type": "raw_feature", "expression": "user:a", "value_dimension": 3, "normalizer": "method=log10"},
        'raw_feature { feature_name: "f" expression: "user:a" value_dim: 3 normalizer: "method=log10" }',
    ),
    (
        {"feature_type": "id_feature", "expression": "user:a", "vocab_dict": {"x": 2}, "combiner": "mean"},
        'id_feature { feature_name: "f" expression: "user:a" vocab_dict { key: "x" value: 2 } pooling: "mean" }',
    ),
    (
        {
            "feature_type": "match_feature", "user": "user:a", "category": "item:c", "item": "item:i",
            "show_category": True, "needDiscrete": True, "default_value": 0,
        },
        'match_feature { feature_name: "f" nested_map: "user:a" pkey: "item:c" skey: "item:i" show_pkey: true '
        'need_discrete: true default_value: "0" }',
    ),
    (
        {"feature_type": "expr_feature", "expression": "a+b", "variables": ["user:a", "item:b"]},
        'expr_feature { feature_name: "f" expression: "a+b" variables: ["user:a", "item:b"] }',
    ),
    (
        {"feature_type": "overlap_feature", "query": "user:q", "title": "item:t", "method": "is_contain"},
        'overlap_feature { feature_name: "f" query: "user:q" title: "item:t" method: "is_contain" }',
    ),
    (
        {"feature_type": "tokenize_feature", "expression": "item:t", "vocab_file": "v", "tokenizer_type": "bpe"},
        'tokenize_feature { feature_name: "f" expression: "item:t" vocab_file: "v" tokenizer_type: "bpe" }',
    ),
    (
        {"feature_type": "kv_dot_product", "query": "user:q", "document": "item:d"},
        'kv_dot_product { feature_name: "f" query: "user:q" document: "item:d" }',
    ),
    (
        {"feature_type": "bool_mask_feature", "expression": ["user:a", "user:m"], "num_buckets": 9},
        'bool_mask_feature { feature_name: "f" expression: ["user:a", "user:m"] num_buckets: 9 }',
    ),
    (
        {"feature_type": "custom_feature", "expression": "user:a", "operator_name": "Op", "depth": 3},
        'custom_feature { feature_name: "f" expression: "user:a" operator_name: "Op" operator_params { fields { '
        'key: "depth" value { number_value: 3 } } } }',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "expected"), ENTRIES, ids=[entry["feature_type"] for entry, _ in ENTRIES])
def test_feature_of_fg_json_is_converted(entry: dict[str, Any], expected: str, tmp_path: Path) -> None:
    conversion = convert(tmp_path, 'model_dir: "m"', [{"feature_name": "f", **entry}])
    assert list(conversion.config.feature_configs) == parse(expected)
    assert reports(conversion) == []


def test_keys_of_fg_json_without_counterpart_are_reported(tmp_path: Path) -> None:
    features = [
        {"feature_type": "id_feature", "feature_name": "f", "expression": "user:a", "need_prefix": True, "other": 1},
        {"feature_type": "id_feature", "feature_name": "g", "expression": "user:a", "need_prefix": False},
        {"feature_type": "mystery_feature", "feature_name": "h"},
    ]
    conversion = convert(tmp_path, 'model_dir: "m"', features)
    assert [(problem.location, problem.field, problem.message) for problem in conversion.problems] == [
        (f"{tmp_path}/fg.json", "features[0].need_prefix", "has no counterpart"),
        (f"{tmp_path}/fg.json", "features[0].other", "has no counterpart"),
        (
            f"{tmp_path}/fg.json",
            "features[2].feature_type",
            '"mystery_feature" has no counterpart; the feature is left out',
        ),
    ]


@pytest.mark.parametrize("content", ["{", "[]", '{"features": [1]}', '{"features": [{}]}'])
def test_fg_json_of_other_content_raises(content: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(content)
    (tmp_path / "old.config").write_text(f'fg_json_path: "{tmp_path}/broken.json"')
    with pytest.raises(ConfigError, match=r"fg\.json (cannot be read|is an object)"):
        convert(tmp_path, f'fg_json_path: "{tmp_path}/broken.json"')


def test_text_with_syntax_error_raises_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'old\.config:2:3 expected ":" or "\{" after "train_config"'):
        convert(tmp_path, "\n  train_config 5")


EASYREC = """
train_input_path: "{folder}/train.csv"
eval_input_path: "{folder}/eval.csv"
model_dir: "{folder}/model"
train_config {{
  optimizer_config {{ adagrad_optimizer {{ learning_rate {{ constant_learning_rate {{ learning_rate: 0.05 }} }} }} }}
  optimizer_config {{ adam_optimizer {{ learning_rate {{ constant_learning_rate {{ learning_rate: 0.01 }} }} }} }}
  num_steps: 20 log_step_count_steps: 10 sync_replicas: true
}}
eval_config {{ metrics_set {{ auc {{}} }} }}
data_config {{
  batch_size: 32 input_type: CSVInput separator: "," label_fields: "clk"
  input_fields {{ input_name: "clk" input_type: INT32 }}
  input_fields {{ input_name: "user_id" input_type: STRING }}
  input_fields {{ input_name: "item_id" input_type: STRING }}
  input_fields {{ input_name: "tags" input_type: STRING }}
  input_fields {{ input_name: "price" input_type: FLOAT }}
  input_fields {{ input_name: "clicks" input_type: STRING }}
}}
feature_config {{
  features {{ input_names: "user_id" feature_type: IdFeature embedding_dim: 8 hash_bucket_size: 100 }}
  features {{ input_names: "item_id" feature_type: IdFeature embedding_dim: 8 hash_bucket_size: 100 }}
  features {{ input_names: "tags" feature_type: TagFeature embedding_dim: 8 hash_bucket_size: 50 }}
  features {{ input_names: "price" feature_type: RawFeature embedding_dim: 8 boundaries: [0.25, 0.5] }}
  features {{
    input_names: "clicks" feature_type: SequenceFeature embedding_dim: 8 hash_bucket_size: 100 max_seq_len: 5
  }}
}}
model_config {{
  model_class: "MultiTower"
  feature_groups {{ group_name: "user" feature_names: ["user_id", "tags"] wide_deep: DEEP }}
  feature_groups {{
    group_name: "item" feature_names: ["item_id", "price"] wide_deep: DEEP
    sequence_features {{
      group_name: "seq" seq_att_map {{ key: "item_id" hist_seq: "clicks" }} seq_dnn {{ hidden_units: [8, 4, 1] }}
    }}
  }}
  multi_tower {{
    towers {{ input: "user" dnn {{ hidden_units: [16, 8] }} }}
    towers {{ input: "item" dnn {{ hidden_units: [16, 8] activation: "tf.nn.leaky_relu" }} }}
    final_dnn {{ hidden_units: [8] }}
  }}
}}
"""


def write_rows(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    item = rng.integers(0, 20, 256)
    lines = [
        f"{int(item[row] % 2)},u{rng.integers(9)},i{item[row]},a|b,{rng.random():.3f},i{rng.integers(20)}|i3\n"
        for row in range(256)
    ]
    path.write_text("".join(lines))


def test_converted_config_passes_check_and_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path / "train.csv", 0)
    write_rows(tmp_path / "eval.csv", 1)
    (tmp_path / "old.config").write_text(EASYREC.format(folder=tmp_path))
    new = tmp_path / "new.config"
    assert main(["--easyrec_config_path", str(tmp_path / "old.config"), "--output_tzrec_config_path", str(new)]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path}/old.config:8:42 train_config.sync_replicas: ranks always train in step\n" in printed
    assert "to do" not in printed
    assert "# " + printed.partition("\n")[0] in new.read_text()
    assert load_config(str(new)).model_config.multi_tower.towers[1].mlp.activation == "nn.LeakyReLU"
    run = tzrec.train(str(new), edit={"data_config.num_workers": 1, "train_config.num_threads": 1})
    assert run.metrics["auc"] > 0.9, "the label is the parity of the item"


def test_command_without_model_lists_what_is_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.config").write_text(f'{DATA} model_config {{ model_class: "FM" {GROUP} fm {{}} }}')
    flags = ["--easyrec_config_path", str(tmp_path / "old.config"), "--output_config", str(tmp_path / "new.config")]
    assert main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("model_config.model_class: FM has no counterpart here" in line for line in lines)
    assert any(line.startswith("to do  ") and "model" in line for line in lines)
