"""A model trained on rows of which is known what decides: "strong" most, "tags" and "number" too, the others not."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tzrec import train_eval

CONFIG = """
train_input_path: "{root}/train.parquet" eval_input_path: "{root}/eval.parquet" model_dir: "{root}/model"
train_config {
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.02 } constant_learning_rate {} }
  num_epochs: 1 num_threads: 1 use_tensorboard: false cpu_matmul: MATMUL_DEFAULT
}
data_config { dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 256 num_workers: 1 label_fields: "clk" }
feature_configs { id_feature { feature_name: "noise" expression: "user:noise" num_buckets: 8 embedding_dim: 4 } }
feature_configs {
  id_feature { feature_name: "tags" expression: "item:tags" num_buckets: 8 embedding_dim: 4 weighted: true }
}
feature_configs {
  raw_feature { feature_name: "hum" expression: "user:hum" embedding_dim: 4 autodis { num_channels: 4 } }
}
feature_configs { id_feature { feature_name: "strong" expression: "user:strong" num_buckets: 8 embedding_dim: 4 } }
feature_configs { raw_feature { feature_name: "number" expression: "item:number" embedding_dim: 4 mlp {} } }
feature_configs { id_feature { feature_name: "spare" expression: "user:spare" num_buckets: 8 embedding_dim: 4 } }
model_config {
  feature_groups {
    group_name: "all" feature_names: ["noise", "tags", "hum", "strong", "number", "spare"] group_type: DEEP
  }
  variational_dropout { regularization_lambda: 1 }
  multi_tower { towers { input: "all" mlp { hidden_units: 16 } } final { hidden_units: 8 } }
  losses { binary_cross_entropy {} }
  metrics { auc {} }
}
"""
ROWS = 20_000


def rows(count: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    strong, noise, spare = rng.integers(0, 8, (3, count))
    sizes, effect = rng.integers(0, 4, count), np.linspace(-1, 1, 8)
    tags = [list(zip(rng.integers(0, 8, size), rng.random(size), strict=True)) for size in sizes]
    number, hum = rng.standard_normal((2, count))
    weighted = np.array([sum(weight * effect[tag] for tag, weight in row) for row in tags])
    logit = 3 * effect[strong] + 1.5 * weighted + 0.7 * number
    return pa.table(
        {
            "strong": strong,
            "noise": noise,
            "spare": spare,
            "tags": ["\x1d".join(f"{tag}:{weight:.3f}" for tag, weight in row) for row in tags],
            "number": number.astype(np.float32),
            "hum": hum.astype(np.float32),
            "clk": (rng.logistic(size=count) < logit).astype(np.int64),
        }
    )


@functools.cache
def trained() -> Path:
    """The config of a trained model, in a directory with its data."""
    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    pq.write_table(rows(ROWS, 1), root / "train.parquet")
    pq.write_table(rows(4000, 2), root / "eval.parquet")
    (root / "my.config").write_text(CONFIG.replace("{root}", str(root)))
    assert train_eval.main(["--pipeline_config", str(root / "my.config")]) == 0
    return root / "model" / "pipeline.config"
