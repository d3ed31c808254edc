"""Rules of a config: the valid config mmoe.config with one invalid value has one problem, at its location."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.checked_config import EDGES, MMOE, changed_config, problems_of
from tzrec.config.check import load_checked
from tzrec.errors import ConfigError
from tzrec.protos.optimizer_pb2 import SparseOptimizer

MLP = "hidden_units: [512, 256, 128]"
ADAGRAD = "adagrad_optimizer {\n            lr: 0.001\n        }"
CATE = 'expression: "item:cate_id"\n        hash_bucket_size: 13000'
FEATURES = 'feature_names: ["user_id", "cate_id", "price"]'


def test_valid_config_has_no_problems(tmp_path: Path) -> None:
    assert problems_of(tmp_path, MMOE) == []


# (what stands there, what is put in its place, the one problem)
CASES: list[tuple[str, str, str]] = [
    # run
    (
        "num_epochs: 1",
        "num_epochs: 1 mlflow { tracking_uri: 'sqlite:///a.db' }",
        'train_config.mlflow.tracking_uri: "sqlite:///a.db" is not the address of a server, such as http://',
    ),
    (
        "num_epochs: 1",
        "num_epochs: 1 prometheus_file: 'a.txt'",
        '21:19 train_config.prometheus_file: "a.txt" must be a local file that ends with .prom',
    ),
    ("num_epochs: 1", "", "6:1 train_config: neither num_steps nor num_epochs is set; choose one"),
    (
        "num_epochs: 1",
        "num_epochs: 1 num_steps: 5",
        "21:5 train_config.num_epochs: num_steps 5 and num_epochs 1 are both",
    ),
    (
        "num_epochs: 1",
        "num_epochs: 1 tensorboard_summaries: ['gradiant']",
        'unknown tensorboard_summaries "gradiant"; did you mean "gradient"?',
    ),
    ("num_epochs: 1", "num_epochs: 1 mixed_precision: 'BF-16'", '"BF-16"; did you mean "BF16"?'),
    ("num_epochs: 1", "num_epochs: 1 log_step_count_steps: 0", "log_step_count_steps: 0 is below 1"),
    ("num_epochs: 1", "num_epochs: 1 num_threads: 0", "num_threads: 0 is below 1; leave it out"),
    ("eval_config {", "export_config { exporter_type: 'bset' }\neval_config {", 'did you mean "best"?'),
    (
        "eval_config {",
        "export_config { exporter_type: 'best' }\neval_config {",
        'evaluation "auc"; did you mean "auc_c',
    ),
    ("eval_config {", "export_config { best_exporter_metric: 'auc_cvt' }\neval_config {", 'did you mean "auc_cv'),
    # steering
    (
        "num_epochs: 1",
        "num_epochs: 1 early_stopping { metric: 'auc' }",
        'early_stopping.metric: unknown result of an evaluation "auc"; did you mean "auc_c',
    ),
    ("num_epochs: 1", "num_epochs: 1 early_stopping { metric: 'auc_ctr' patience: 0 }", "patience: 0 is below 1"),
    ("num_epochs: 1", "num_epochs: 1 early_stopping { metric: 'auc_ctr' min_delta: -1 }", "min_delta: -1 is below 0"),
    ("num_epochs: 1", "num_epochs: 1 early_stopping { metric: 'auc_ctr' patienc: 2 }", 'did you mean "patience"?'),
    ("num_epochs: 1", "num_epochs: 1 reduce_on_plateau { metric: 'auc_ctr' factor: 2 }", "factor: 2 is not in (0, 1)"),
    (
        "num_epochs: 1",
        "num_epochs: 1 reduce_on_plateau { metric: 'auc_ctr' min_factor: 1 }",
        "min_factor: 1 is not in [0, 1)",
    ),
    ("num_epochs: 1", "num_epochs: 1 max_minutes: 0", "max_minutes: 0 is not above 0; leave it out for no limit"),
    (
        "num_epochs: 1",
        "num_epochs: 1 keep_checkpoint_best: 2 keep_checkpoint_max: 1",
        'export_config.best_exporter_metric: unknown result of an evaluation "auc"',
    ),
    # optimizers
    (ADAGRAD, "", "train_config.sparse_optimizer: no optimizer is chosen; use one of sgd_optimizer, adagrad_optimizer"),
    (ADAGRAD, "adagrad_optimizer { lr: -1 }", "adagrad_optimizer.lr: -1 is below 0"),
    (
        "num_epochs: 1",
        "num_epochs: 1 grad_clipping { clipping_type: 'Nrom' }",
        'clipping_type "Nrom"; did you mean',
    ),
    (
        "num_epochs: 1",
        "num_epochs: 1 grad_clipping { max_gradient: 0 }",
        "grad_clipping.max_gradient: 0 is not above",
    ),
    ("num_epochs: 1", "num_epochs: 1 grad_scaler { backoff_factor: 2 }", "backoff_factor: 2 is not in (0, 1)"),
    ("num_epochs: 1", "num_epochs: 1 grad_scaler { growth_factor: 0.5 }", "growth_factor: 0.5 is below 1"),
    ("num_epochs: 1", "num_epochs: 1 grad_scaler { init_scale: 0 }", "init_scale: 0 is not above 0"),
    ("num_epochs: 1", "num_epochs: 1 grad_scaler { growth_interval: 0 }", "growth_interval: 0 is below 1"),
    ("adam_optimizer {", "ema { decay: 1.5 } adam_optimizer {", "dense_optimizer.ema.decay: 1.5 is not in [0, 1]"),
    ("eval_config {", "eval_config { use_dense_ema: true ", "eval_config.use_dense_ema: there is no moving average"),
    (
        "eval_config {",
        "export_config { use_dense_ema: true }\neval_config {",
        "export_config.use_dense_ema: there is no moving average to use; add train_config.dense_optimizer.ema",
    ),
    (
        "adam_optimizer {",
        "part_optimizers { regex_pattern: 'a[' sgd_optimizer { lr: 1 } } adam_optimizer {",
        "part_optimizers[0].regex_pattern: 'a[' is not a regular expression",
    ),
    (
        "adam_optimizer {",
        "adam_optimizer { beta1: 1 ",
        "15:26 train_config.dense_optimizer.adam_optimizer.beta1: 1 is not in",
    ),
    ("adam_optimizer {", "adam_optimizer { eps: 0 ", "adam_optimizer.eps: 0 is not above 0"),
    (
        "adam_optimizer {",
        "sgd_optimizer { nesterov: true momentum: 0 ",
        "nesterov: needs momentum above 0 and dampening 0",
    ),
    ("constant_learning_rate {\n        }", "", "7:5 train_config.sparse_optimizer: no schedule is chosen"),
    ("constant_learning_rate", "cosine_annealing_learning_rate", "T_max: is not set; set it to at least 1"),
    ("constant_learning_rate", "cosine_annealing_warm_restarts_learning_rate", "T_0: is not set; set it to at least 1"),
    ("constant_learning_rate", "exponential_decay_learning_rate", "decay_size: is not set; set it to at least 1"),
    (
        "constant_learning_rate {",
        "manual_step_learning_rate { schedule_sizes: [2, 3] learning_rates: 1",
        "1 rates for 2",
    ),
    (
        "constant_learning_rate {",
        "manual_step_learning_rate { schedule_sizes: [3, 2] learning_rates: [1, 2]",
        "schedule_sizes[1]: 2 is not above 3",
    ),
    (
        "num_epochs: 1",
        "num_epochs: 1 global_embedding_constraints { sharding_types: ['row_wise', 'rowwise'] }",
        '21:79 train_config.global_embedding_constraints.sharding_types[1]: unknown sharding_types "rowwise"; did you',
    ),
    (
        CATE,
        CATE + " embedding_constraints { sharding_types: 'grid_shard' }",
        'sharding_types[0]: "grid_shard" needs CUDA; on cpu use one of data_parallel',
    ),
    (
        CATE,
        CATE + " embedding_constraints { compute_kernels: 'fused_uvm' }",
        'compute_kernels[0]: "fused_uvm" needs CUDA',
    ),
    # data
    ("batch_size: 8192", "batch_size: 0", "26:5 data_config.batch_size: 0 is below 1"),
    ("batch_size: 8192", "sample_mask_prob: 1.5", "data_config.sample_mask_prob: 1.5 is not in [0, 1]"),
    ("batch_size: 8192", "eval_batch_size: 0", "data_config.eval_batch_size: 0 is below 1; leave it out"),
    (
        "batch_size: 8192",
        "negative_sampler { input_path: 'x' num_sample: 2 item_id_field: 'i' }",
        "data_config.negative_sampler.attr_fields: is empty",
    ),
    ("batch_size: 8192", "batch_cost_size: 9", "sample_cost_field: empty; name the column of costs"),
    ("batch_size: 8192", 'batch_cost_size: 0 sample_cost_field: "c"', "batch_cost_size: 0"),
    ("batch_size: 8192", "shuffle: true shuffle_buffer_size: 0", "shuffle_buffer_size: 0 batches to shuffle in"),
    (
        '["clk", "buy"]',
        '["clk", "buy", "clk"]',
        '29:34 data_config.label_fields[2]: "clk" is already the name of another',
    ),
    ('["clk", "buy"]', "[]", "29:5 data_config.label_fields: is empty; mmoe needs at least one label column"),
    ("batch_size: 8192", "input_fields_str: 'a:INT32;b:INT46'", 'unknown type "INT46"; did you mean "INT64"?'),
    ("ParquetDataset", "CsvDataset", "data_config: CSV without a header needs input_fields"),
    ("ParquetDataset", "CsvDataset with_header: true delimiter: '||'", "delimiter: '||' is not one character"),
    (
        "ParquetDataset",
        "CsvDataset input_fields_str: 'user_id;cate_id:STRING;prize:FLOAT;clk;buy'",
        'expression: "price" is not a column of data_config.input_fields; did you mean "prize"?',
    ),
    # features
    ('"item:cate_id"', '"itm:cate_id"', '"itm:cate_id": unknown side "itm"; did you mean "item"?'),
    ('"item:cate_id"', '"cate_id"', '43:9 feature_configs[1].id_feature.expression: "cate_id" is not side:name'),
    ('"item:cate_id"', '"feature:user"', 'unknown feature "user"; did you mean "user_id"?'),
    ('"item:cate_id"', '"feature:cate_id"', "features read each other in a cycle: cate_id -> cate_id"),
    (
        "hash_bucket_size: 13000",
        "",
        '41:5 feature_configs[1].id_feature: feature "cate_id" needs one of hash_bucket_size',
    ),
    ("hash_bucket_size: 13000", "hash_bucket_size: 0", "hash_bucket_size: 0 is below 1"),
    (
        "num_buckets: 1141730",
        "num_buckets: 5 hash_bucket_size: 3",
        "hash_bucket_size and num_buckets are set; choose one",
    ),
    ("num_buckets: 1141730", "num_buckets: 5 default_value: '5'", '"5" is not in the num_buckets range [0, 5)'),
    (
        "num_buckets: 1141730",
        'vocab_list: ["a", "b"] default_bucketize_value: 2',
        "2 is not below the 2 rows of the table",
    ),
    (
        "num_buckets: 1141730",
        'vocab_dict: [{key: "a" value: 1}]',
        'vocab_dict["a"]: "a" has index 1; 0 and 1 are those',
    ),
    ("num_buckets: 1141730", "num_buckets: 5 data_type: 'FP23'", 'unknown data_type "FP23"; did you mean "FP32"?'),
    ("num_buckets: 1141730", "num_buckets: 5 pooling: 'max'", 'unknown pooling "max"; known: sum, mean'),
    (
        "num_buckets: 1141730",
        "num_buckets: 5 fg_value_type: 'int46'",
        'unknown fg_value_type "int46"; did you mean "int64"?',
    ),
    ("num_buckets: 1141730", "num_buckets: 5 init_fn: 'nn.init.unifrm_,a=1'", 'did you mean "nn.init.uniform_"?'),
    ("num_buckets: 1141730", "num_buckets: 5 init_fn: 'nn.init.uniform_,a=x,b=1'", "a is a number, received x"),
    ("num_buckets: 1141730", "num_buckets: 5 init_fn: 'nn.init.uniform_,c=1'", 'takes a, b; received "c"'),
    ("embedding_dim: 16", "embedding_dim: 0", "embedding_dim: must be above 0: the width of the embedding"),
    (
        "[1.1, 2.2, 3.6, 5.2, 7.39]",
        "[1.1, 2.2, 2.2]",
        "52:32 feature_configs[2].raw_feature.boundaries[2]: 2.2 is not above",
    ),
    (EDGES, "value_dim: 0", "value_dim: 0 (any number of values) needs boundaries"),
    (EDGES, "default_value: 'none'", 'default_value: "none" is not a number'),
    (EDGES, "normalizer: 'method=log01'", 'unknown method "log01"; did you mean "log10"?'),
    (EDGES, "normalizer: 'method=zscore,mean=1'", "zscore needs standard_deviation"),
    (EDGES, "normalizer: 'method=minmax,min=0,max=a'", 'minmax: max is a number, received "a"'),
    (
        'feature_name: "cate_id"',
        'feature_name: "user_id"',
        '"user_id" is already the name of another feature, at line 34',
    ),
    # shared tables
    (
        CATE,
        CATE + " embedding_name: 'user_id_emb'",
        'shares table "user_id_emb" with feature "user_id", which has 1141730',
    ),
    # groups
    ("cate_id", "cat_id", 'unknown feature "cate_id"; did you mean "cat_id"?'),
    (
        FEATURES,
        'feature_names: ["user_id", "cat_idd"]',
        "59:36 model_config.feature_groups[0].feature_names[1]: unknown f",
    ),
    (FEATURES, "", "57:5 model_config.feature_groups[0].feature_names: is empty; list the features"),
    (CATE, CATE + " stub_type: true", '"cate_id" is a stub, which only other features may read'),
    ("group_type: DEEP", "group_type: WIDE", "group_type: mmoe does not read WIDE groups; use DEEP"),
    (
        "    mmoe {",
        "    variational_dropout { regularization_lambda: -0.1 }\n    mmoe {",
        "62:27 model_config.variational_dropout.regularization_lambda: -0.1 is below 0",
    ),
    (
        "    mmoe {",
        "    feature_groups { group_name: 'all' feature_names: 'price' group_type: DEEP }\n    mmoe {",
        '62:22 model_config.feature_groups[1].group_name: "all" is already the name of another group, at line 58',
    ),
    # model, tasks
    ("num_expert: 3", "num_expert: 0", "num_expert: 0 is below 1"),
    (MLP, "", "expert_mlp.hidden_units: is empty; give the width of each layer"),
    (MLP, "hidden_units: [8, 0]", "64:31 model_config.mmoe.expert_mlp.hidden_units[1]: 0 is below 1"),
    (
        MLP,
        MLP + " dropout_ratio: [0.1, 0.2]",
        "dropout_ratio: 2 values for 3 layers; give none, one for all or one for",
    ),
    (MLP, MLP + " dropout_ratio: 1.5", "dropout_ratio[0]: 1.5 is not in [0, 1)"),
    (MLP, MLP + " use_bn: true use_ln: true", "use_ln: use_bn and use_ln are both set; choose one"),
    (MLP, MLP + " activation: 'nn.Relu'", 'unknown activation "nn.Relu"; did you mean "nn.ReLU"?'),
    (MLP, MLP + " activation: 'nn.LeakyReLU(slope=0.2)'", 'takes negative_slope, inplace; received "slope"'),
    (MLP, MLP + " activation: 'nn.ReLU)'", '"nn.ReLU)" is not an activation; expected e.g. nn.LeakyReLU('),
    ('tower_name: "cvr"', 'tower_name: "ctr"', '"ctr" is already the name of another tower, at line 68'),
    ('tower_name: "cvr"', 'tower_name: ""', "tower_name: is empty; it is the suffix of the outputs"),
    (
        'label_name: "buy"',
        'label_name: "by"',
        '"by" is not in data_config.label_fields (clk, buy); did you mean "buy"?',
    ),
    (
        'label_name: "buy"',
        'label_name: "buy" sample_weight_name: "w"',
        "is not in data_config.sample_weight_fields (empty)",
    ),
    ('label_name: "buy"', 'label_name: "buy" task_space_indicator_label: "clck"', 'did you mean "clk"?'),
    ('label_name: "buy"', 'label_name: "buy" weight: -1', "weight: -1 is below 0"),
    ('label_name: "buy"', 'label_name: "buy" num_class: 3', "use softmax_cross_entropy or num_class 1"),
    (
        "binary_cross_entropy {}",
        "softmax_cross_entropy {}",
        "num_class: 1 is not valid for softmax_cross_entropy; use bin",
    ),
    (
        "binary_cross_entropy {}",
        "l2_loss {}",
        "metrics[0].auc: compares probabilities, but with l2_loss this task predic",
    ),
    (
        "auc {}",
        "mean_squared_error {}",
        "compares values, but with binary_cross_entropy this task predicts probabilities",
    ),
    ("auc {}", "multiclass_auc {}", "multiclass_auc: is not valid for num_class 1; use one of auc, accuracy"),
    ("auc {}", "auc {} } metrics { auc { thresholds: 0 }", '"auc" is already the name of another metric'),
    ("auc {}", "auc { thresholds: 1 }", "thresholds: 1 threshold does not define a curve"),
    ("auc {}", "accuracy { top_k: 2 }", "top_k: 2 is not in [1, 1], the classes of this task"),
    ("binary_cross_entropy {}", "", "76:13 model_config.mmoe.task_towers[0].losses[0]: no loss is chosen; use one of"),
    ("binary_cross_entropy {}", "binary_cross_entropy { label_smoothing: 1 }", "label_smoothing: 1 is not in [0, 1)"),
]


def without_file(line: str) -> str:
    """Shorten `my.config:5:1   field: message` to `5:1 field: message`, as in CASES."""
    return " ".join(line.removeprefix("my.config:").split())


@pytest.mark.parametrize(("old", "new", "expected"), CASES, ids=[f"{i}-{case[2][:40]}" for i, case in enumerate(CASES)])
def test_invalid_value_is_one_problem_at_its_location(tmp_path: Path, old: str, new: str, expected: str) -> None:
    lines = [without_file(line) for line in problems_of(tmp_path, changed_config(old, new))]
    assert len(lines) == 1, lines
    assert expected in lines[0]


REFUSED: list[tuple[str, str, str]] = [
    (
        "num_epochs: 1",
        "num_epochs: 1 delta_embedding_dump_config {}",
        "delta_embedding_dump_config: is not supported",
    ),
    ("hash_bucket_size: 13000", "zch { zch_size: 5 }", "zch: is not supported; use hash_bucket_size"),
    ("hash_bucket_size: 13000", "dynamicemb { max_capacity: 5 }", "dynamicemb: is not supported"),
    ("binary_cross_entropy {}", "recon_loss {}", "recon_loss: is not supported"),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), REFUSED, ids=[f"{i}-{case[2][:30]}" for i, case in enumerate(REFUSED)]
)
def test_unsupported_field_is_rejected_with_an_alternative(tmp_path: Path, old: str, new: str, expected: str) -> None:
    (line,) = problems_of(tmp_path, changed_config(old, new))
    assert expected in line


def test_fields_at_their_default_and_fields_without_effect_are_no_problems(tmp_path: Path) -> None:
    dead = "odps_data_quota_name: 'x' is_orderby_partition: true fg_threads: 4 in_order: false sample_mask_prob: 0"
    text = changed_config("batch_size: 8192", dead, "num_epochs: 1", "num_epochs: 1 is_profiling: false num_steps: 0")
    text = text.replace("    mmoe {", "    kernel: PYTORCH use_pareto_loss_weight: false\n    mmoe {")
    assert problems_of(tmp_path, text) == []


def test_unsupported_model_is_one_problem_that_lists_supported_models(tmp_path: Path) -> None:
    start = MMOE.index("    mmoe {")
    (line,) = problems_of(tmp_path, MMOE[:start] + "    sid_rqkmeans {}\n}\n")
    assert "62:5 model_config.sid_rqkmeans: is not supported; use one of " in without_file(line)
    assert "mmoe" in line


def test_shared_table_with_different_options_is_a_problem(tmp_path: Path) -> None:
    text = changed_config(CATE, CATE.replace("13000", "1141730") + " embedding_name: 'user_id_emb' pooling: 'mean'")
    (line,) = problems_of(tmp_path, text)
    assert 'pooling: shares table "user_id_emb" with feature "user_id", which has sum, not mean' in line


def test_variational_dropout_with_a_single_feature_is_a_problem(tmp_path: Path) -> None:
    dropout = ("    mmoe {", "    variational_dropout { regularization_lambda: 0.02 }\n    mmoe {")
    assert problems_of(tmp_path, changed_config(*dropout)) == []
    (line,) = problems_of(tmp_path, changed_config(*dropout, FEATURES, 'feature_names: "user_id"'))
    assert "62:5 model_config.variational_dropout: no DEEP or WIDE group has more than one feature" in line


def test_suffixes_that_result_in_one_table_name_are_a_problem(tmp_path: Path) -> None:
    groups = (
        "    feature_groups { group_name: 'a' feature_names: 'user_id' embedding_name_suffix: 'x_y' group_type: 0 }\n"
        "    feature_groups { group_name: 'b' feature_names: 'cate_id' embedding_name_suffix: 'y' group_type: DEEP }\n"
        "    mmoe {"
    )
    text = changed_config("    mmoe {", groups, CATE, CATE + " embedding_name: 'user_id_emb_x'")
    (line,) = problems_of(tmp_path, text)
    assert 'makes the table name "user_id_emb_x_y", which "user_id_emb + x_y" makes too' in line


def test_half_precision_table_needs_a_fused_optimizer(tmp_path: Path) -> None:
    text = changed_config(CATE, CATE + " data_type: 'FP16'")
    assert problems_of(tmp_path, text) == []
    (line,) = problems_of(tmp_path, text.replace("adagrad_optimizer", "adam_optimizer"))
    assert "feature_configs[1].id_feature.data_type: FP16 needs an optimizer that is fused on cpu" in line
    assert "use FP32, or one of sgd_optimizer, adagrad_optimizer, rowwise_adagrad_optimizer" in line
    assert problems_of(tmp_path, text.replace("adagrad_optimizer", "adam_optimizer"), "cuda") == []
    (line,) = problems_of(tmp_path, text.replace("adagrad_optimizer", "rmsprop_optimizer"), "cuda")
    assert "FP16 needs an optimizer that is fused on cuda, which rmsprop_optimizer is not" in line


@pytest.mark.parametrize(
    "name", [field.name for field in SparseOptimizer.DESCRIPTOR.oneofs_by_name["optimizer"].fields]
)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_table_optimizers_are_valid_on_every_device(tmp_path: Path, name: str, device: str) -> None:
    assert problems_of(tmp_path, changed_config(ADAGRAD, f"{name} {{ lr: 0.1 }}"), device) == []


def test_cuda_options_are_valid_on_cuda(tmp_path: Path) -> None:
    text = changed_config(
        "num_epochs: 1",
        "num_epochs: 1 mixed_precision: 'FP16' global_embedding_constraints { sharding_types: 'grid_shard' }",
    )
    assert len(problems_of(tmp_path, text, "cpu")) == 1
    assert problems_of(tmp_path, text, "cuda") == []


def test_pareto_weights_with_a_loss_scale_are_a_problem(tmp_path: Path) -> None:
    text = changed_config(
        "num_epochs: 1", "num_epochs: 1 grad_scaler {}", "    mmoe {", "    use_pareto_loss_weight: true\n    mmoe {"
    )
    (line,) = problems_of(tmp_path, text)
    assert "train_config.grad_scaler: use_pareto_loss_weight compares unscaled gradients" in line
    assert problems_of(tmp_path, text.replace("grad_scaler {}", "")) == []


def test_column_sharding_with_an_optimizer_of_whole_rows_is_a_problem(tmp_path: Path) -> None:
    cut = "num_epochs: 1 global_embedding_constraints { sharding_types: 'column_wise' }"
    text = changed_config("num_epochs: 1", cut)
    assert problems_of(tmp_path, text) == []
    (line,) = problems_of(tmp_path, text.replace("adagrad_optimizer", "lamb_optimizer", 1))
    assert "sharding_types: updates of lamb_optimizer depend on whole rows, which column_wise splits" in line
    assert (
        problems_of(
            tmp_path,
            text.replace("adagrad_optimizer", "lamb_optimizer", 1).replace(
                "'column_wise'", "['row_wise', 'column_wise']"
            ),
        )
        == []
    )


def test_training_control_without_evaluations_is_a_problem(tmp_path: Path) -> None:
    steered = "early_stopping { metric: 'auc_ctr' } keep_checkpoint_best: 2 keep_checkpoint_max: 1"
    text = changed_config("num_epochs: 1", f"num_epochs: 1 {steered}", '"data/eval/*.parquet"', '""')
    text += "export_config { best_exporter_metric: 'auc_ctr' }"
    lines = [without_file(line) for line in problems_of(tmp_path, text)]
    assert [line.split(": ", 1)[1] for line in lines] == [
        "needs evaluations: set eval_input_path or data_config.eval_split"
    ] * 2
    (line,) = problems_of(tmp_path, text.replace("keep_checkpoint_max: 1", "").replace('""', '"data"', 1))
    assert "keep_checkpoint_best: all checkpoints are kept; set keep_checkpoint_max" in line


def test_missing_sections_are_problems(tmp_path: Path) -> None:
    lines = problems_of(tmp_path, "train_input_path: 'a' eval_input_path: '' model_dir: 'm'")
    assert [line.split()[1] for line in lines] == ["train_config:", "data_config:", "model_config:", "feature_configs:"]


def test_ten_mistakes_are_ten_problems_at_their_locations(tmp_path: Path) -> None:
    pairs = [
        ("num_epochs: 1", "num_epochs: one"),
        ("batch_size: 8192", "batch_sise: 8192"),
        ("ParquetDataset", "ParquetDatset"),
        ('expression: "user:user_id"', 'expresion: "user:user_id"'),
        ("hash_bucket_size: 13000", ""),
        ("boundaries: [1.1, 2.2,", "boundaries: [1.1, 0.2,"),
        (FEATURES, 'feature_names: ["user_id", "cat_idd", "price"]'),
        (MLP, MLP + ' activation: "nn.Relu"'),
        ('label_name: "clk"', 'label_name: "clk" num_class: 3'),
        ('label_name: "buy"', 'label_name: "by"'),
    ]
    lines = problems_of(tmp_path, changed_config(*(text for pair in pairs for text in pair)))
    assert [without_file(line).split(": ")[0] for line in lines] == [
        "21:17 train_config.num_epochs",
        "26:5 data_config.batch_sise",
        "27:19 data_config.dataset_type",
        "35:9 feature_configs[0].id_feature.expresion",
        "41:5 feature_configs[1].id_feature",
        "52:27 feature_configs[2].raw_feature.boundaries[1]",
        "59:36 model_config.feature_groups[0].feature_names[1]",
        "64:43 model_config.mmoe.expert_mlp.activation",
        "69:31 model_config.mmoe.task_towers[0].num_class",
        "82:13 model_config.mmoe.task_towers[1].label_name",
    ]


def test_edits_and_text_are_checked_together(tmp_path: Path) -> None:
    (tmp_path / "my.config").write_text(MMOE)
    edits: dict[str, Any] = {"data_config.batch_size": 0, "model_config.mmoe.num_expert": 0}
    with pytest.raises(ConfigError, match="2 problems"):
        load_checked(str(tmp_path / "my.config"), edits)
    assert load_checked(str(tmp_path / "my.config")).model_config.mmoe.num_expert == 3


def test_check_imports_neither_torch_nor_arrow() -> None:
    code = "import sys, tzrec.config.check as c; c.check(c.load_source(sys.argv[1])); print(*sys.modules)"
    path = str(Path(__file__).with_name("mmoe.config"))
    modules = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "pyarrow", "numba"} & set(modules.split())


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("", "data_config.eval_split: neither fraction nor column is set; choose one"),
        (
            "fraction: 0.1 column: 'day' from: '5'",
            "data_config.eval_split: fraction and column are both set; choose one",
        ),
        ("column: 'day'", "column and from belong together: rows whose column is at least from are held out"),
        ("fraction: 1", "data_config.eval_split.fraction: 1 is not in (0, 1)"),
    ],
)
def test_eval_split_that_is_not_complete_is_a_problem(tmp_path: Path, split: str, expected: str) -> None:
    text = changed_config("data_config {", f"data_config {{ eval_split {{ {split} }}")
    (problem,) = problems_of(tmp_path, text)
    assert expected in problem
