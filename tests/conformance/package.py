"""A package of tzrec with a raw column of each datatype."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tzrec
from tests.conformance.typed_model import DATATYPES, MODEL, NUMBERS

_FEATURE = 'feature_configs {{ raw_feature {{ feature_name: "{name}" expression: "item:{name}" }} }}'
_CONFIG = """
train_input_path: "{folder}/rows.parquet" eval_input_path: "{folder}/rows.parquet" model_dir: "{folder}/model"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.01 }} constant_learning_rate {{}} }}
  num_steps: 4
}}
data_config {{
  dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 64 num_workers: 1 label_fields: ["label"]
}}
{features}
feature_configs {{
  id_feature {{ feature_name: "bytes" expression: "user:bytes" hash_bucket_size: 50 embedding_dim: 4 }}
}}
model_config {{
  feature_groups {{ group_name: "all" group_type: DEEP feature_names: [{names}] }}
  mmoe {{
    num_expert: 2
    expert_mlp {{ hidden_units: [8] }}
    task_towers {{
      tower_name: "ctr" label_name: "label" mlp {{ hidden_units: [4] }}
      losses {{ binary_cross_entropy {{}} }} metrics {{ auc {{}} }}
    }}
  }}
}}
"""


def export_typed(folder: Path) -> Path:
    """Train on a few random rows and export; returns the directory of the package."""
    rng = np.random.default_rng(0)
    columns = {name.lower(): rng.integers(0, 2, 256) for name in NUMBERS}
    columns["bytes"] = np.array([f"u{row % 5}" for row in range(256)])
    pq.write_table(pa.table({**columns, "label": rng.integers(0, 2, 256)}), folder / "rows.parquet")
    features = "\n".join(_FEATURE.format(name=name.lower()) for name in NUMBERS)
    names = ", ".join(f'"{name.lower()}"' for name in DATATYPES)
    config = folder / "typed.config"
    config.write_text(_CONFIG.format(folder=folder, features=features, names=names))
    tzrec.train(str(config))
    tzrec.export(str(config), export_dir=str(folder / MODEL))
    return folder / MODEL
