"""A small config for each model, with the groups that it reads."""

from __future__ import annotations

from pathlib import Path

DIM = 8
IDS = {"user": 1000, "item": 50, "cate": 10, "city": 20, "hour": 24, "device": 4}
"""Number of table rows by column."""
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

MODELS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "configs").glob("*.config"))}
"""Text of model_config by model: a file of `configs` for every file of tzrec/models."""


def config_text(name: str, data: str, model_dir: str) -> str:
    """The complete config of a model; single-task models predict `clk`."""
    features = [
        f'feature_configs {{ id_feature {{ feature_name: "{column}" expression: "user:{column}"'
        f" num_buckets: {rows} embedding_dim: {DIM} }} }}"
        for column, rows in IDS.items()
    ]
    features += [
        f'feature_configs {{ raw_feature {{ feature_name: "price" expression: "item:price" boundaries: {EDGES}'
        f" embedding_dim: {DIM} }} }}",
        'feature_configs { raw_feature { feature_name: "price_number" expression: "item:price" } }',
        'feature_configs { sequence_id_feature { feature_name: "last_cate" expression: "user:cate"'  # of one element
        f" sequence_length: 1 num_buckets: {IDS['cate']} embedding_dim: {DIM} }} }}",
    ]
    return CONFIG.format(data=data, model_dir=model_dir, features="\n".join(features), model=MODELS[name])
