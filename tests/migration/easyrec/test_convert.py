"""Conversion of EasyRec configs: one case for each row of the mapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message

from tzrec.migration.easyrec.convert import Conversion, convert_easyrec_config
from tzrec.protos.data_pb2 import DataConfig
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.train_pb2 import TrainConfig

DATA = 'data_config { batch_size: 8 label_fields: ["clk", "buy"] }'
GROUP = 'feature_groups { group_name: "all" feature_names: ["a", "b"] }'
DNN = "hidden_units: [8, 4] use_bn: false"
MLP = 'hidden_units: [8, 4] use_bn: false activation: "nn.ReLU"'


def convert(folder: Path, text: str, fg: Any = None, use_old_fg: bool = False) -> Conversion:
    """Convert a config, with an fg.json of these features."""
    path, fg_path = folder / "old.config", folder / "fg.json"
    path.write_text(text)
    if fg is not None:
        fg_path.write_text(json.dumps({"features": fg}))
    return convert_easyrec_config(str(path), str(fg_path) if fg is not None else "", use_old_fg)


def reports(conversion: Conversion) -> list[str]:
    """Line, column, path and reason of what was not carried over."""
    places = [(problem.location.rpartition(".config:")[2], problem) for problem in conversion.problems]
    return [f"{place} {problem.field}: {problem.message}" for place, problem in places]


def assert_contains(actual: Message, expected: str) -> None:
    """Every field of the expected text has its value in the message."""
    correct = text_format.Parse(expected, type(actual)(), allow_unknown_field=False)
    for descriptor, value in correct.ListFields():
        assert getattr(actual, descriptor.name) == value, (descriptor.name, text_format.MessageToString(actual))


ADAM = "adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } }"
CONSTANT = "lr: 0.01 %s } constant_learning_rate {}"


def optimizer(name: str, settings: str = "") -> str:
    return f"{name} {{ learning_rate {{ constant_learning_rate {{ learning_rate: 0.01 }} }} {settings} }}"


OPTIMIZERS = {
    "rms_prop": (
        optimizer("rms_prop_optimizer", "decay: 0.8"),
        "rmsprop_optimizer { lr: 0.01 alpha: 0.8 eps: 1.0 }",
        "rmsprop_optimizer { lr: 0.01 alpha: 0.8 eps: 1.0 }",
    ),
    "momentum": (
        optimizer("momentum_optimizer", "momentum_optimizer_value: 0.5"),
        "sgd_optimizer { lr: 0.01 }",
        "sgd_optimizer { lr: 0.01 momentum: 0.5 }",
    ),
    "momentumw": (
        optimizer("momentumw_optimizer", "weight_decay: 0.1"),
        "sgd_optimizer { lr: 0.01 }",
        "sgd_optimizer { lr: 0.01 momentum: 0.9 weight_decay: 0.1 }",
    ),
    "adam": (
        optimizer("adam_optimizer", "beta1: 0.5"),
        "adam_optimizer { lr: 0.01 beta1: 0.5 }",
        "adam_optimizer { lr: 0.01 beta1: 0.5 }",
    ),
    "adam_async": (
        optimizer("adam_async_optimizer", "beta2: 0.5"),
        "adam_optimizer { lr: 0.01 beta2: 0.5 }",
        "adam_optimizer { lr: 0.01 beta2: 0.5 }",
    ),
    "lazy_adam": (
        optimizer("lazy_adam_optimizer"),
        "adam_optimizer { lr: 0.01 }",
        "adam_optimizer { lr: 0.01 }",
    ),
    "adamw": (
        optimizer("adamw_optimizer", "weight_decay: 0.1"),
        "adam_optimizer { lr: 0.01 weight_decay: 0.1 }",
        "adamw_optimizer { lr: 0.01 weight_decay: 0.1 }",
    ),
    "adam_asyncw": (
        optimizer("adam_asyncw_optimizer"),
        "adam_optimizer { lr: 0.01 weight_decay: 1e-6 }",
        "adamw_optimizer { lr: 0.01 weight_decay: 1e-6 }",
    ),
    "adagrad": (
        optimizer("adagrad_optimizer"),
        "adagrad_optimizer { lr: 0.01 initial_accumulator_value: 0.1 }",
        "adagrad_optimizer { lr: 0.01 initial_accumulator_value: 0.1 }",
    ),
    "ftrl": (
        optimizer("ftrl_optimizer"),
        "adagrad_optimizer { lr: 0.01 initial_accumulator_value: 0.1 }",
        "adagrad_optimizer { lr: 0.01 initial_accumulator_value: 0.1 }",
    ),
    "multiplier": (
        ADAM + " embedding_learning_rate_multiplier: 3",
        "adam_optimizer { lr: 0.03 }",
        "adam_optimizer { lr: 0.01 }",
    ),
    "moving_average": (
        ADAM + " use_moving_average: true moving_average_decay: 0.9",
        "adam_optimizer { lr: 0.01 }",
        "adam_optimizer { lr: 0.01 } ema { decay: 0.9 }",
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_is_converted_for_tables_and_layers(name: str, tmp_path: Path) -> None:
    text, sparse, dense = OPTIMIZERS[name]
    conversion = convert(tmp_path, f"train_config {{ optimizer_config {{ {text} }} }}")
    expected = TrainConfig()
    text_format.Parse(f"{sparse} constant_learning_rate {{}}", expected.sparse_optimizer)
    text_format.Parse(f"{dense} constant_learning_rate {{}}", expected.dense_optimizer)
    train = conversion.config.train_config
    assert train.sparse_optimizer == expected.sparse_optimizer
    assert train.dense_optimizer == expected.dense_optimizer
    noted = name in ("ftrl", "momentum", "momentumw", "rms_prop")
    assert bool(conversion.problems) == noted, reports(conversion)


SCHEDULES = {
    "exponential": (
        "exponential_decay_learning_rate { initial_learning_rate: 0.1 decay_steps: 10 decay_factor: 0.5 "
        "staircase: false burnin_learning_rate: 0.01 burnin_steps: 5 min_learning_rate: 0.001 }",
        0.1,
        "exponential_decay_learning_rate { decay_size: 10 decay_factor: 0.5 staircase: false "
        "warmup_learning_rate: 0.01 warmup_size: 5 min_learning_rate: 0.001 }",
    ),
    "exponential_defaults": (
        "exponential_decay_learning_rate {}",
        0.002,
        "exponential_decay_learning_rate { decay_size: 4000000 decay_factor: 0.95 staircase: true "
        "warmup_learning_rate: 0 warmup_size: 0 min_learning_rate: 0 }",
    ),
    "manual": (
        "manual_step_learning_rate { initial_learning_rate: 0.1 schedule { step: 5 learning_rate: 0.2 } "
        "schedule { step: 9 learning_rate: 0.3 } warmup: true }",
        0.1,
        "manual_step_learning_rate { schedule_sizes: [5, 9] learning_rates: [0.2, 0.3] warmup: true }",
    ),
    "cosine": (
        "cosine_decay_learning_rate { learning_rate_base: 0.1 total_steps: 50 warmup_steps: 5 }",
        0.1,
        "cosine_annealing_learning_rate { T_max: 50 warmup_learning_rate: 0.0002 warmup_size: 5 }",
    ),
    "poly": ("poly_decay_learning_rate { learning_rate_base: 0.1 }", 0.1, "constant_learning_rate {}"),
    "transformer": ("transformer_learning_rate { learning_rate_base: 0.1 }", 0.1, "constant_learning_rate {}"),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_converted(name: str, tmp_path: Path) -> None:
    text, rate, expected = SCHEDULES[name]
    optimizer_text = f"optimizer_config {{ adam_optimizer {{ learning_rate {{ {text} }} }} }}"
    train = convert(tmp_path, f"train_config {{ {optimizer_text} }}").config.train_config
    for target in (train.sparse_optimizer, train.dense_optimizer):
        assert target.adam_optimizer.lr == pytest.approx(rate)
        assert_contains(target, expected)


@pytest.mark.parametrize(
    ("model_class", "rates", "sparse", "dense"),
    [
        ("DeepFM", [0.1], 0.1, 0.1),
        ("DeepFM", [0.1, 0.2], 0.1, 0.2),
        ("WideAndDeep", [0.1, 0.2], 0.2, 0.2),
        ("WideAndDeep", [0.1, 0.2, 0.3], 0.2, 0.3),
    ],
)
def test_several_optimizers_are_assigned_as_easyrec_does(
    model_class: str, rates: list[float], sparse: float, dense: float, tmp_path: Path
) -> None:
    entries = "".join(
        f"optimizer_config {{ {optimizer('adam_optimizer').replace('0.01', str(rate))} }}" for rate in rates
    )
    text = f'train_config {{ {entries} }} model_config {{ model_class: "{model_class}" {GROUP} }}'
    conversion = convert(tmp_path, text)
    train = conversion.config.train_config
    assert train.sparse_optimizer.adam_optimizer.lr == pytest.approx(sparse)
    assert train.dense_optimizer.adam_optimizer.lr == pytest.approx(dense)
    wide = [line for line in reports(conversion) if "wide tables have no optimizer of their own" in line]
    assert bool(wide) == (model_class == "WideAndDeep")


TRAIN = [
    ("train_config { num_steps: 7 }", "num_steps: 7"),
    ("train_config {} data_config { num_epochs: 3 }", "num_epochs: 3"),
    ("train_config { num_steps: 0 } data_config { num_epochs: 3 }", "num_epochs: 3"),
    (
        "train_config { gradient_clipping_by_norm: 2.5 }",
        'grad_clipping { clipping_type: "norm" max_gradient: 2.5 }',
    ),
    (
        "train_config { save_checkpoints_steps: 5 keep_checkpoint_max: 3 log_step_count_steps: 9 is_profiling: true }",
        "save_checkpoints_steps: 5 keep_checkpoint_max: 3 log_step_count_steps: 9 is_profiling: true",
    ),
]


@pytest.mark.parametrize(("text", "expected"), TRAIN)
def test_train_config_is_converted(text: str, expected: str, tmp_path: Path) -> None:
    assert_contains(convert(tmp_path, text).config.train_config, expected)


DATASETS = {
    "CSVInput": "CsvDataset",
    "CSVInputV2": "CsvDataset",
    "BatchCSVInput": "CsvDataset",
    "OdpsInput": "OdpsDataset",
    "OdpsInputV2": "OdpsDataset",
    "ParquetInputV2": "ParquetDataset",
    "KafkaInput": "KafkaDataset",
}
DATA_ROWS = [
    *((f"input_type: {old}", f"dataset_type: {new}") for old, new in DATASETS.items()),
    ("batch_size: 7 eval_batch_size: 9", "batch_size: 7 eval_batch_size: 9"),
    ("", "batch_size: 32 shuffle: true fg_mode: FG_DAG"),
    ('label_fields: "a" label_fields: "b" sample_weight: "w"', 'label_fields: ["a", "b"] sample_weight_fields: "w"'),
    ("shuffle: false shuffle_buffer_size: 5 drop_remainder: true", "shuffle: false shuffle_buffer_size: 5"),
    ("num_parallel_calls: 3", "num_workers: 3"),
    ("separator: '\\t' with_header: true", "delimiter: '\\t' with_header: true"),
    (
        'input_fields { input_name: "a" input_type: INT64 } input_fields { input_name: "b" input_type: FLOAT '
        'input_dim: 3 } input_fields { input_name: "c" }',
        'input_fields { input_name: "a" input_type: INT64 } input_fields { input_name: "b" input_type: ARRAY_FLOAT } '
        'input_fields { input_name: "c" input_type: STRING }',
    ),
    (
        'auto_expand_input_fields: true input_fields { input_name: "f[1-2]" input_type: INT64 }',
        'input_fields { input_name: "f1" input_type: INT64 } input_fields { input_name: "f2" input_type: INT64 }',
    ),
    (
        'negative_sampler { input_path: "p" num_sample: 9 attr_fields: "i" item_id_field: "i" num_eval_sample: 0 }',
        'negative_sampler { input_path: "p" num_sample: 9 attr_fields: "i" item_id_field: "i" '
        'field_delimiter: "\\001" }',
    ),
    (
        'negative_sampler_in_memory { input_path: "p" num_sample: 9 item_id_field: "i" attr_delimiter: "," }',
        'negative_sampler { input_path: "p" num_sample: 9 item_id_field: "i" attr_delimiter: "," '
        'field_delimiter: "\\001" }',
    ),
    (
        'hard_negative_sampler_v2 { user_input_path: "u" item_input_path: "i" pos_edge_input_path: "p" '
        'hard_neg_edge_input_path: "h" num_sample: 9 num_hard_sample: 2 item_id_field: "i" user_id_field: "u" '
        'num_eval_sample: 4 field_delimiter: "," }',
        'hard_negative_sampler_v2 { user_input_path: "u" item_input_path: "i" pos_edge_input_path: "p" '
        'hard_neg_edge_input_path: "h" num_sample: 9 num_hard_sample: 2 item_id_field: "i" user_id_field: "u" '
        'num_eval_sample: 4 field_delimiter: "," }',
    ),
]


@pytest.mark.parametrize(("text", "expected"), DATA_ROWS)
def test_data_config_is_converted(text: str, expected: str, tmp_path: Path) -> None:
    conversion = convert(tmp_path, f"data_config {{ {text} }}")
    actual = conversion.config.data_config
    for descriptor, value in text_format.Parse(expected, DataConfig()).ListFields():
        assert getattr(actual, descriptor.name) == value
    assert reports(conversion) == []


PATHS = [
    ('train_input_path: "a" eval_input_path: "b" model_dir: "c"', "a", "b"),
    ('parquet_train_input: "a" parquet_eval_input: "b"', "a", "b"),
    (
        'kafka_train_input { server: "h:9" topic: "t" group: "g" config_global: "x=1" config_topic: "y=2" '
        'offset_time: "5" } eval_input_path: "b"',
        "kafka://h:9/t?group.id=g&x=1&y=2&start.timestamp.ms=5",
        "b",
    ),
]


@pytest.mark.parametrize(("text", "train", "evaluation"), PATHS)
def test_paths_are_converted(text: str, train: str, evaluation: str, tmp_path: Path) -> None:
    conversion = convert(tmp_path, text)
    assert (conversion.config.train_input_path, conversion.config.eval_input_path) == (train, evaluation)
    assert reports(conversion) == []


ID = 'feature_type: IdFeature input_names: "a" embedding_dim: 4'
FEATURES = [
    (
        f"{ID} hash_bucket_size: 9",
        'id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 hash_bucket_size: 9 pooling: "mean" }',
    ),
    (
        f'{ID} num_buckets: 9 feature_name: "f" combiner: "sum"',
        'id_feature { feature_name: "f" expression: "user:a" embedding_dim: 4 num_buckets: 9 pooling: "sum" }',
    ),
    (
        f'{ID} vocab_list: ["x", "y"] embedding_name: "e"',
        'id_feature { feature_name: "a" expression: "user:a" embedding_name: "e" embedding_dim: 4 '
        'vocab_list: ["x", "y"] default_bucketize_value: 0 pooling: "mean" }',
    ),
    (
        f'{ID} vocab_file: "v"',
        'id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 vocab_file: "v" '
        'default_bucketize_value: 0 pooling: "mean" }',
    ),
    (
        f"{ID} hash_bucket_size: 9 initializer {{ truncated_normal_initializer {{ mean: 0 stddev: 0.1 }} }}",
        'id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 hash_bucket_size: 9 pooling: "mean" '
        'init_fn: "nn.init.trunc_normal_,mean=0,std=0.1" }',
    ),
    (
        f"{ID} hash_bucket_size: 9 initializer {{ constant_initializer {{ consts: 0.5 }} }}",
        'id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 hash_bucket_size: 9 pooling: "mean" '
        'init_fn: "nn.init.constant_,val=0.5" }',
    ),
    (
        'feature_type: TagFeature input_names: "a" embedding_dim: 4 hash_bucket_size: 9 separator: "," '
        'kv_separator: ":"',
        'id_feature { feature_name: "a" expression: "user:a" embedding_dim: 4 hash_bucket_size: 9 pooling: "mean" '
        'separator: "," weighted: true }',
    ),
    (
        'feature_type: RawFeature input_names: "a"',
        'raw_feature { feature_name: "a" expression: "user:a" }',
    ),
    (
        'feature_type: RawFeature input_names: "a" boundaries: [1, 2.5] embedding_dim: 4 min_val: 0 max_val: 5',
        'raw_feature { feature_name: "a" expression: "user:a" boundaries: [1, 2.5] embedding_dim: 4 pooling: "mean" '
        'normalizer: "method=minmax,min=0,max=5" }',
    ),
    (
        'feature_type: RawFeature input_names: "a" raw_input_dim: 3 embedding_dim: 4 separator: ";"',
        'raw_feature { feature_name: "a" expression: "user:a" value_dim: 3 separator: ";" embedding_dim: 4 mlp {} }',
    ),
    (
        'feature_type: PassThroughFeature input_names: "a"',
        'raw_feature { feature_name: "a" expression: "user:a" }',
    ),
    (
        'feature_type: ComboFeature feature_name: "c" input_names: ["a", "b"] embedding_dim: 4 hash_bucket_size: 9',
        'combo_feature { feature_name: "c" expression: ["user:a", "user:b"] embedding_dim: 4 hash_bucket_size: 9 '
        'pooling: "mean" }',
    ),
    (
        'feature_type: LookupFeature feature_name: "l" input_names: ["m", "k"] embedding_dim: 4 boundaries: [1, 2]',
        'lookup_feature { feature_name: "l" map: "user:m" key: "user:k" embedding_dim: 4 boundaries: [1, 2] '
        'pooling: "mean" }',
    ),
    (
        'feature_type: SequenceFeature input_names: "s" embedding_dim: 4 hash_bucket_size: 9 max_seq_len: 7',
        'sequence_id_feature { feature_name: "s" expression: "user:s" embedding_dim: 4 hash_bucket_size: 9 '
        'pooling: "mean" sequence_length: 7 sequence_delim: "|" }',
    ),
    (
        'feature_type: SequenceFeature input_names: "s" embedding_dim: 4 num_buckets: 9 separator: ";" '
        'seq_multi_sep: "#"',
        'sequence_id_feature { feature_name: "s" expression: "user:s" embedding_dim: 4 num_buckets: 9 '
        'pooling: "mean" sequence_delim: ";" separator: "#" value_dim: 0 }',
    ),
    (
        'feature_type: SequenceFeature sub_feature_type: RawFeature input_names: "s" embedding_dim: 4 '
        "boundaries: [1, 2] sequence_length: 5",
        'sequence_raw_feature { feature_name: "s" expression: "user:s" embedding_dim: 4 boundaries: [1, 2] '
        'pooling: "mean" sequence_length: 5 sequence_delim: "|" }',
    ),
    (
        'feature_type: ExprFeature feature_name: "e" input_names: ["a", "b"] expression: "a+b"',
        'expr_feature { feature_name: "e" expression: "a+b" variables: ["user:a", "user:b"] }',
    ),
]


@pytest.mark.parametrize(("text", "expected"), FEATURES)
@pytest.mark.parametrize("place", ["feature_configs { %s }", "feature_config { features { %s } }"])
def test_feature_is_converted(text: str, expected: str, place: str, tmp_path: Path) -> None:
    conversion = convert(tmp_path, place % text)
    assert list(conversion.config.feature_configs) == [text_format.Parse(expected, FeatureConfig())]
    assert len(conversion.problems) == ("LookupFeature" in text), reports(conversion)


def test_shared_names_defaults_and_sides_are_converted(tmp_path: Path) -> None:
    conversion = convert(
        tmp_path,
        'data_config { input_fields { input_name: "a" default_val: "x" } }'
        f'feature_configs {{ {ID} hash_bucket_size: 9 shared_names: "b[1-2]" }}'
        'model_config { feature_groups { group_name: "item" feature_names: ["a"] } '
        'feature_groups { group_name: "user" feature_names: ["b[1-2]"] } }',
    )
    features = [feature.id_feature for feature in conversion.config.feature_configs]
    assert [(feature.feature_name, feature.expression, feature.default_value) for feature in features] == [
        ("a", "item:a", "x"),
        ("b1", "user:b1", "x"),
        ("b2", "user:b2", "x"),
    ]


GROUPS = [
    (
        'feature_groups { group_name: "g" feature_names: "f[1-3]" feature_names: "x" wide_deep: DEEP }',
        ['group_name: "g" feature_names: ["f1", "f2", "f3", "x"] group_type: DEEP'],
    ),
    (
        'feature_groups { group_name: "g" feature_names: "x" wide_deep: WIDE }',
        ['group_name: "g" feature_names: ["x"] group_type: WIDE'],
    ),
    (
        'feature_groups { group_name: "g" feature_names: "x" wide_deep: WIDE_AND_DEEP }',
        [
            'group_name: "g" feature_names: "x" group_type: DEEP',
            'group_name: "g_wide" feature_names: "x" group_type: WIDE',
        ],
    ),
    (
        'feature_groups { group_name: "g" feature_names: "x" sequence_features { seq_att_map { key: "k" '
        'hist_seq: "h" } '
        "seq_dnn { hidden_units: [8, 4, 1] use_bn: false } } }",
        [
            'group_name: "g" feature_names: ["x", "k"] group_type: DEEP sequence_groups { group_name: "seq_0" '
            'feature_names: ["k", "h"] } sequence_encoders { din_encoder { input: "seq_0" attn_mlp { '
            'hidden_units: [8, 4] use_bn: false activation: "nn.ReLU" } } }'
        ],
    ),
    (
        'feature_groups { group_name: "g" feature_names: "x" sequence_features { group_name: "s" '
        'seq_att_map { key: "k" hist_seq: "h" } need_key_feature: false } }',
        [
            'group_name: "g" feature_names: ["x"] group_type: DEEP sequence_groups { group_name: "s" '
            'feature_names: ["k", "h"] } sequence_encoders { din_encoder { input: "s" attn_mlp { '
            'hidden_units: [128, 64, 32] use_bn: true activation: "nn.ReLU" } } }'
        ],
    ),
    (
        'seq_att_groups { group_name: "s" seq_att_map { key: "k" hist_seq: "h" } } '
        'multi_tower { din_towers { input: "s" } }',
        ['group_name: "s" feature_names: ["k", "h"] group_type: SEQUENCE'],
    ),
    (
        'feature_groups { group_name: "g" feature_names: "k" } '
        'seq_att_groups { group_name: "s" seq_att_map { key: "k" hist_seq: "h" } } '
        'multi_tower { bst_towers { input: "s" seq_len: 6 multi_head_size: 2 } }',
        [
            'group_name: "g" feature_names: "k" group_type: DEEP',
            'group_name: "s" group_type: DEEP sequence_groups { group_name: "s" feature_names: ["k", "h"] } '
            'sequence_encoders { bst_encoder { input: "s" num_attention_heads: 2 max_position_embeddings: 6 '
            'target_item_position: "tail" use_position_embeddings: false normalize_tokens: false '
            'hidden_act: "nn.ReLU" hidden_dropout_prob: 0 attention_probs_dropout_prob: 0 } }',
        ],
    ),
    (
        'feature_groups { group_name: "g" feature_names: "k" } '
        'seq_att_groups { group_name: "s" seq_att_map { key: "k" hist_seq: "h" } }',
        [
            'group_name: "g" feature_names: "k" group_type: DEEP sequence_groups { group_name: "s" '
            'feature_names: ["k", "h"] } sequence_encoders { din_encoder { input: "s" attn_mlp { '
            'hidden_units: [128, 64, 32] use_bn: true activation: "nn.ReLU" } } }'
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), GROUPS)
def test_group_is_converted(text: str, expected: list[str], tmp_path: Path) -> None:
    groups = convert(tmp_path, f"model_config {{ {text} }}").config.model_config.feature_groups
    assert list(groups) == [text_format.Parse(part, FeatureGroupConfig()) for part in expected]


LAYERS = [
    ("hidden_units: [8]", 'hidden_units: 8 use_bn: true activation: "nn.ReLU"'),
    (
        'hidden_units: [8, 4] use_bn: false dropout_ratio: [0.1, 0.2] activation: ""',
        'hidden_units: [8, 4] use_bn: false dropout_ratio: [0.1, 0.2] activation: ""',
    ),
    *(
        (f'hidden_units: [8] activation: "{old}"', f'hidden_units: 8 use_bn: true activation: "{new}"')
        for old, new in [
            ("tf.nn.relu", "nn.ReLU"), ("tf.nn.leaky_relu", "nn.LeakyReLU"), ("tf.nn.elu", "nn.ELU"),
            ("tf.nn.selu", "nn.SELU"), ("tf.nn.tanh", "nn.Tanh"), ("swish", "nn.SiLU"), ("gelu", "nn.GELU"),
            ("prelu", "nn.PReLU"), ("dice", "Dice"),
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LAYERS)
def test_layers_are_converted(text: str, expected: str, tmp_path: Path) -> None:
    model = f'model_config {{ model_class: "DeepFM" {GROUP} deepfm {{ dnn {{ {text} }} }} }}'
    conversion = convert(tmp_path, model)
    assert_contains(conversion.config.model_config, f"deepfm {{ deep {{ {expected} }} }}")
    assert reports(conversion) == []


TASK = f'tower_name: "t" dnn {{ {DNN} }}'
CONVERTED_TASK = f'tower_name: "t" label_name: "clk" mlp {{ {MLP} }} losses {{ binary_cross_entropy {{}} }}'
MODELS = {
    "WideAndDeep": (
        f"wide_and_deep {{ dnn {{ {DNN} }} final_dnn {{ {DNN} }} wide_output_dim: 4 }}",
        f"wide_and_deep {{ deep {{ {MLP} }} final {{ {MLP} }} wide_embedding_dim: 4 }}",
    ),
    "DeepFM": (
        f"deepfm {{ dnn {{ {DNN} }} final_dnn {{}} wide_output_dim: 4 }}",
        f"deepfm {{ deep {{ {MLP} }} wide_embedding_dim: 4 }}",
    ),
    "MultiTower": (
        f'multi_tower {{ towers {{ input: "all" dnn {{ {DNN} }} }} final_dnn {{ {DNN} }} }}',
        f'multi_tower {{ towers {{ input: "all" mlp {{ {MLP} }} }} final {{ {MLP} }} }}',
    ),
    "MultiTowerDIN": (
        f'multi_tower {{ towers {{ input: "all" dnn {{ {DNN} }} }} '
        'din_towers { input: "s" dnn { hidden_units: [8, 4, 1] use_bn: false } } }',
        f'multi_tower_din {{ towers {{ input: "all" mlp {{ {MLP} }} }} '
        f'din_towers {{ input: "s" attn_mlp {{ {MLP} }} }} }}',
    ),
    "MultiTowerBST": (
        f'multi_tower {{ towers {{ input: "all" dnn {{ {DNN} }} }} bst_towers {{ input: "s" }} }}',
        f'multi_tower {{ towers {{ input: "all" mlp {{ {MLP} }} }} towers {{ input: "s" }} }}',
    ),
    "DCN": (
        f'dcn {{ cross_tower {{ input: "all" cross_num: 5 }} deep_tower {{ input: "all" dnn {{ {DNN} }} }} '
        f"final_dnn {{ {DNN} }} }}",
        f"dcn_v1 {{ cross {{ cross_num: 5 }} deep {{ {MLP} }} final {{ {MLP} }} }}",
    ),
    "DLRM": (
        f"dlrm {{ bot_dnn {{ {DNN} }} top_dnn {{ {DNN} }} }}",
        f"dlrm {{ dense_mlp {{ {MLP} }} final {{ {MLP} }} arch_with_sparse: true }}",
    ),
    "AutoInt": (
        "autoint { multi_head_num: 2 multi_head_size: 8 interacting_layer_num: 3 }",
        "autoint { attention { head_num: 2 head_dim: 8 layer_num: 3 } }",
    ),
    "MMoE": (
        f"mmoe {{ expert_dnn {{ {DNN} }} num_expert: 3 task_towers {{ {TASK} }} }}",
        f"mmoe {{ expert_mlp {{ {MLP} }} num_expert: 3 task_towers {{ {CONVERTED_TASK} }} }}",
    ),
    "SimpleMultiTask": (
        f"simple_multi_task {{ task_towers {{ {TASK} }} }}",
        f"simple_multi_task {{ task_towers {{ {CONVERTED_TASK} }} }}",
    ),
    "DBMTL": (
        f'dbmtl {{ bottom_dnn {{ {DNN} }} task_towers {{ {TASK} }} task_towers {{ tower_name: "v" '
        f'relation_tower_names: "t" relation_dnn {{ {DNN} }} }} }}',
        f'dbmtl {{ bottom_mlp {{ {MLP} }} task_towers {{ {CONVERTED_TASK} }} task_towers {{ tower_name: "v" '
        f'label_name: "buy" relation_tower_names: "t" relation_mlp {{ {MLP} }} '
        "losses { binary_cross_entropy {} } } }",
    ),
    "PLE": (
        f'ple {{ extraction_networks {{ network_name: "n" expert_num_per_task: 2 share_num: 1 '
        f"task_expert_net {{ {DNN} }} share_expert_net {{ {DNN} }} }} task_towers {{ {TASK} }} }}",
        f'ple {{ extraction_networks {{ network_name: "n" expert_num_per_task: 2 share_num: 1 '
        f"task_expert_net {{ {MLP} }} share_expert_net {{ {MLP} }} }} task_towers {{ {CONVERTED_TASK} }} }}",
    ),
    "ESMM": (
        f'esmm {{ ctr_tower {{ {TASK} }} cvr_tower {{ tower_name: "v" weight: 2 }} }}',
        f'esmm {{ task_towers {{ {CONVERTED_TASK} }} task_towers {{ tower_name: "v" label_name: "buy" weight: 2 '
        "losses { binary_cross_entropy {} } } }",
    ),
    "RocketLaunching": (
        f"rocket_launching {{ share_dnn {{ {DNN} }} booster_dnn {{ {DNN} }} light_dnn {{ {DNN} }} "
        "feature_based_distillation: true feature_distillation_function: EUCLID }",
        f"rocket_launching {{ share_mlp {{ {MLP} }} booster_mlp {{ {MLP} }} light_mlp {{ {MLP} }} "
        "feature_based_distillation: true feature_distillation_function: EUCLID }",
    ),
    "DSSM": (
        'dssm { user_tower { id: "u" dnn { hidden_units: [16, 8, 4] use_bn: false } } '
        'item_tower { id: "i" dnn { hidden_units: [8, 4, 4] use_bn: false } } temperature: 0.1 }',
        'dssm { user_tower { input: "user" mlp { hidden_units: [16, 8] use_bn: false activation: "nn.ReLU" } } '
        f'item_tower {{ input: "item" mlp {{ {MLP} }} }} output_dim: 4 similarity: COSINE temperature: 0.1 '
        "in_batch_negative: true }",
    ),
    "DAT": (
        'dat { user_tower { id: "u" dnn { hidden_units: [8, 4, 4] use_bn: false } } '
        'item_tower { id: "i" dnn { hidden_units: [8, 4, 4] use_bn: false } } amm_u_weight: 0.1 }',
        f'dat {{ user_tower {{ input: "user" augment_input: "user_id_augment" mlp {{ {MLP} }} }} '
        f'item_tower {{ input: "item" augment_input: "item_id_augment" mlp {{ {MLP} }} }} output_dim: 4 '
        "similarity: COSINE in_batch_negative: true amm_u_weight: 0.1 }",
    ),
    "MIND": (
        f"mind {{ pre_capsule_dnn {{ {DNN} }} user_dnn {{ {DNN} }} "
        "concat_dnn { hidden_units: [8, 4, 4] use_bn: false } "
        "item_dnn { hidden_units: [8, 4, 4] use_bn: false } capsule_config { max_k: 3 max_seq_len: 9 high_dim: 4 } "
        "simi_pow: 20 user_seq_combine: CONCAT }",
        f'mind {{ user_tower {{ input: "user" history_input: "hist" hist_seq_mlp {{ {MLP} }} user_mlp {{ {MLP} }} '
        f"concat_mlp {{ {MLP} }} capsule_config {{ max_k: 3 max_seq_len: 9 high_dim: 4 }} }} "
        f'item_tower {{ input: "item" mlp {{ {MLP} }} }} simi_pow: 20 similarity: COSINE in_batch_negative: true '
        "output_dim: 4 }",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_is_converted(name: str, tmp_path: Path) -> None:
    text, expected = MODELS[name]
    conversion = convert(tmp_path, f'{DATA} model_config {{ model_class: "{name}" {GROUP} {text} }}')
    assert_contains(conversion.config.model_config, expected)


@pytest.mark.parametrize("name", ["FM", "CMBF", "Uniter", "PDN", "DropoutNet", "MetricLearning", "MultiTowerRecall"])
def test_model_without_counterpart_is_reported(name: str, tmp_path: Path) -> None:
    conversion = convert(tmp_path, f'model_config {{ model_class: "{name}" {GROUP} }}')
    assert f"1:16 model_config.model_class: {name} has no counterpart here; choose a model of docs/models by hand" in (
        reports(conversion)
    )


LOSSES = [
    ("loss_type: CLASSIFICATION", "losses { binary_cross_entropy {} }"),
    ("loss_type: CLASSIFICATION num_class: 3", "losses { softmax_cross_entropy {} } num_class: 3"),
    ("loss_type: CROSS_ENTROPY_LOSS", "losses { binary_cross_entropy {} }"),
    ("loss_type: SOFTMAX_CROSS_ENTROPY num_class: 2", "losses { softmax_cross_entropy {} } num_class: 2"),
    ("loss_type: L2_LOSS", "losses { l2_loss {} }"),
    (
        "losses { loss_type: BINARY_FOCAL_LOSS binary_focal_loss { gamma: 3 alpha: 0.4 } weight: 2 }",
        "losses { binary_focal_loss { gamma: 3 alpha: 0.4 } weight: 2 }",
    ),
    (
        'num_class: 2 losses { loss_type: JRC_LOSS jrc_loss { session_name: "user_id" alpha: 0.4 } }',
        'losses { jrc_loss { session_name: "user_id" alpha: 0.4 } } num_class: 2',
    ),
    ("variational_dropout { regularization_lambda: 0.1 }", "variational_dropout { regularization_lambda: 0.1 }"),
]
METRICS = [
    ("auc { num_thresholds: 50 }", "auc { thresholds: 50 }"),
    ("auc {}", "auc {}"),
    ('gauc { uid_field: "u" }', 'grouped_auc { grouping_key: "u" }'),
    ('session_auc { session_id_field: "s" }', 'grouped_auc { grouping_key: "s" }'),
    ("recall_at_topk { topk: 7 }", "recall_at_k { top_k: 7 }"),
    ("recall_at_topk {}", "recall_at_k { top_k: 5 }"),
    ("mean_absolute_error {}", "mean_absolute_error {}"),
    ("mean_squared_error {}", "mean_squared_error {}"),
    ("accuracy {}", "accuracy {}"),
    ("root_mean_squared_error {}", "mean_squared_error {}"),
]


@pytest.mark.parametrize(("text", "expected"), LOSSES)
def test_loss_is_converted(text: str, expected: str, tmp_path: Path) -> None:
    model = f'model_config {{ model_class: "DeepFM" {GROUP} deepfm {{ dnn {{ {DNN} }} }} {text} }}'
    conversion = convert(tmp_path, model)
    assert_contains(conversion.config.model_config, expected)
    assert reports(conversion) == []


@pytest.mark.parametrize(("text", "expected"), METRICS)
def test_metric_is_converted(text: str, expected: str, tmp_path: Path) -> None:
    model = f'model_config {{ model_class: "DeepFM" {GROUP} deepfm {{ dnn {{ {DNN} }} }} }}'
    conversion = convert(tmp_path, f"{model} eval_config {{ metrics_set {{ {text} }} }}")
    assert_contains(conversion.config.model_config, f"metrics {{ {expected} }}")
    task = f'simple_multi_task {{ task_towers {{ tower_name: "t" label_name: "l" metrics_set {{ {text} }} }} }}'
    conversion = convert(tmp_path, f'model_config {{ model_class: "SimpleMultiTask" {GROUP} {task} }}')
    (tower,) = conversion.config.model_config.simple_multi_task.task_towers
    assert_contains(tower, f"metrics {{ {expected} }}")


def test_task_settings_are_converted(tmp_path: Path) -> None:
    text = (
        'tower_name: "t" label_name: "buy" num_class: 3 weight: 2 loss_type: SOFTMAX_CROSS_ENTROPY '
        'task_space_indicator_label: "clk" in_task_space_weight: 1 out_task_space_weight: 0'
    )
    data = 'data_config { label_fields: ["clk", "buy"] sample_weight: "w" }'
    model = f'model_class: "SimpleMultiTask" {GROUP} simple_multi_task {{ task_towers {{ {text} }} }}'
    conversion = convert(tmp_path, f"{data} model_config {{ {model} }}")
    expected = (
        'tower_name: "t" label_name: "buy" num_class: 3 weight: 2 losses { softmax_cross_entropy {} } '
        'task_space_indicator_label: "clk" in_task_space_weight: 1 out_task_space_weight: 0 sample_weight_name: "w"'
    )
    assert_contains(conversion.config.model_config.simple_multi_task.task_towers[0], expected)


def test_evaluation_and_export_are_converted(tmp_path: Path) -> None:
    conversion = convert(
        tmp_path,
        "data_config { batch_size: 8 } eval_config { num_examples: 20 } "
        'export_config { exporter_type: "best" best_exporter_metric: "auc" metric_bigger: false asset_files: "x" }',
    )
    assert conversion.config.eval_config.num_steps == 3
    expected = 'exporter_type: "best" best_exporter_metric: "auc" metric_larger_is_better: false'
    assert_contains(conversion.config.export_config, expected)
    assert reports(conversion) == ["1:151 export_config.asset_files: pass them to the export: --asset_files x"]
