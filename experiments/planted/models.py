"""One small config per model, each on the groups it reads. Keys are the files of tzrec/models."""

from __future__ import annotations

DIM = 8
IDS = {"user": 1000, "item": 50, "cate": 10, "city": 20, "hour": 24, "device": 4}
"""Column -> rows of its table."""
EDGES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

CONFIG = """
train_input_path: "{data}/train.parquet"
eval_input_path: "{data}/eval.parquet"
model_dir: "{model_dir}"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.05 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.003 }} constant_learning_rate {{}} }}
  num_epochs: 6
  log_step_count_steps: 1
  use_tensorboard: false  num_threads: 1
}}
data_config {{
  batch_size: 512  eval_batch_size: 8192  dataset_type: ParquetDataset  fg_mode: FG_DAG
  label_fields: ["clk", "buy"]  shuffle: true  num_workers: 1
}}
{features}
model_config {{ {model} }}
"""

ONE = "losses { binary_cross_entropy {} } metrics { auc { thresholds: 0 } }"
USER, ITEM = ["user", "city", "hour", "device"], ["item", "cate", "price"]
ALL = [*USER, *ITEM]


def _group(name: str, features: list[str], kind: str = "DEEP") -> str:
    names = ", ".join(f'"{each}"' for each in features)
    return f'feature_groups {{ group_name: "{name}" group_type: {kind} feature_names: [{names}] }}'


def _tower(name: str, label: str, more: str = "") -> str:
    mlp = "mlp { hidden_units: [16] }"
    return f'task_towers {{ tower_name: "{name}" label_name: "{label}" {mlp} {more} {ONE} }}'


TOWERS = _tower("ctr", "clk") + _tower("cvr", "buy")
EXPERTS = "num_expert: 3 expert_mlp { hidden_units: [32, 16] }"
EVERY = _group("all", ALL)
WIDE = _group("wide", ALL, "WIDE") + _group("deep", ALL)
LAYER = "{ lcb_feature_num: 4 fmb_feature_num: 4 compressed_feature_num: 4 feature_num_mlp { hidden_units: [32] } }"
READS = 'relation_tower_names: "ctr" relation_mlp { hidden_units: 16 }'
INTERVENES = 'intervention_tower_names: "ctr" low_rank_dim: 4'
LEVEL = 'extraction_networks { network_name: "%s" expert_num_per_task: 2 share_num: 1 task_expert_net { %s } }'

MODELS = {
    "aitm": f"{EVERY} aitm {{ bottom_mlp {{ hidden_units: 32 }} {TOWERS} }}",
    "autoint": f"{EVERY} autoint {{ attention {{ layer_num: 2 head_num: 2 head_dim: 8 }} }} {ONE}",
    "custom": f'{EVERY} custom {{ class_path: "examples.residual_tower:ResidualTower" params {{'
    ' fields { key: "blocks" value { number_value: 2 } } fields { key: "hidden" value { number_value: 32 } } } }'
    f" {ONE}",
    "dbmtl": f"{EVERY} dbmtl {{ bottom_mlp {{ hidden_units: 32 }} {EXPERTS} {_tower('ctr', 'clk')}"
    f"{_tower('cvr', 'buy', READS)} }}",
    "dc2vr": f"{EVERY} dc2vr {{ {EXPERTS} {_tower('ctr', 'clk', 'low_rank_dim: 4')}"
    f"{_tower('cvr', 'buy', INTERVENES)} }}",
    "dcn_v1": f"{EVERY} dcn_v1 {{ cross {{ cross_num: 2 }} deep {{ hidden_units: [32] }}"
    f" final {{ hidden_units: [16] }} }} {ONE}",
    "dcn_v2": f"{EVERY} dcn_v2 {{ cross {{ cross_num: 2 low_rank: 8 }} deep {{ hidden_units: [32] }}"
    f" final {{ hidden_units: [16] }} }} {ONE}",
    "deepfm": f"{WIDE} deepfm {{ deep {{ hidden_units: [32, 16] }} }} {ONE}",
    "dlrm": f"{_group('dense', ['price_number'])} {_group('sparse', ALL[:-1])}"
    f" dlrm {{ dense_mlp {{ hidden_units: [16, {DIM}] }} final {{ hidden_units: [32, 16] }} }} {ONE}",
    "esmm": f"{EVERY} esmm {{ bottom_mlp {{ hidden_units: 32 }} {_tower('ctr', 'clk')} {_tower('ctcvr', 'buy')} }}",
    "fibinet": f"{EVERY} fibinet {{ bilinear: FIELD_EACH deep {{ hidden_units: [32, 16] }} }} {ONE}",
    "finalmlp": f"{EVERY} {_group('user', USER)} {_group('item', ITEM)} finalmlp {{"
    ' first { gate_group: "user" mlp { hidden_units: [32, 16] } }'
    f' second {{ gate_group: "item" mlp {{ hidden_units: [32, 16] }} }} head_num: 2 }} {ONE}',
    "gdcn": f"{EVERY} gdcn {{ cross {{ cross_num: 2 }} deep {{ hidden_units: [32] }} }} {ONE}",
    "mask_net": f"{EVERY} mask_net {{ mask_net_module {{ n_mask_blocks: 2"
    " mask_block { reduction_ratio: 1 hidden_dim: 16 } top_mlp { hidden_units: [16] } use_parallel: true } }"
    f" {ONE}",
    "mmoe": f"{EVERY} mmoe {{ {EXPERTS} {TOWERS} }}",
    "multi_tower": f"{_group('user', USER)} {_group('item', ITEM)} multi_tower {{"
    ' towers { input: "user" mlp { hidden_units: [32] } } towers { input: "item" mlp { hidden_units: [32] } }'
    f" final {{ hidden_units: [32, 16] }} }} {ONE}",
    "pepnet": f"{EVERY} {_group('domain', ['device'])} {_group('uia', ['user', 'item'])}"
    f" pepnet {{ epnet_hidden_unit: 16 ppnet_hidden_units: [32, 16] {TOWERS} }}",
    "ple": f"{EVERY} ple {{ {LEVEL % ('first', 'hidden_units: 32')} {LEVEL % ('second', 'hidden_units: 16')}"
    f" {TOWERS} }}",
    "rocket_launching": f"{EVERY} rocket_launching {{ share_mlp {{ hidden_units: 32 }}"
    f" booster_mlp {{ hidden_units: [32, 16] }} light_mlp {{ hidden_units: [16] }} }} {ONE}",
    "simple_multi_task": f"{EVERY} simple_multi_task {{ bottom_mlp {{ hidden_units: [32] }} {TOWERS} }}",
    "wide_and_deep": f"{WIDE} wide_and_deep {{ deep {{ hidden_units: [32, 16] }} }} {ONE}",
    "wukong": f"{_group('sparse', ALL)} wukong {{ wukong_layers {LAYER} wukong_layers {LAYER}"
    f" final {{ hidden_units: [32] }} }} {ONE}",
    "xdeepfm": f"{WIDE} xdeepfm {{ cin {{ cin_layer_size: [8, 8] }} deep {{ hidden_units: [32] }}"
    f" final {{ hidden_units: [16] }} }} {ONE}",
}


def config_text(name: str, data: str, model_dir: str) -> str:
    """The whole config of a model; single-task models learn `clk`."""
    features = [
        f'feature_configs {{ id_feature {{ feature_name: "{column}" expression: "user:{column}"'
        f" num_buckets: {rows} embedding_dim: {DIM} }} }}"
        for column, rows in IDS.items()
    ]
    features += [
        f'feature_configs {{ raw_feature {{ feature_name: "price" expression: "item:price" boundaries: {EDGES}'
        f" embedding_dim: {DIM} }} }}",
        'feature_configs { raw_feature { feature_name: "price_number" expression: "item:price" } }',
    ]
    return CONFIG.format(data=data, model_dir=model_dir, features="\n".join(features), model=MODELS[name])
