"""Synthetic rows with the columns of Criteo's display advertising challenge, and a DLRM config for them.

Table sizes are those of the Kaggle data, capped at a million rows. The model is that of the published Kaggle run of
DLRM (bottom 512-256-64-16, top 512-256-1, width 16), as in Naumov et al., 2019.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH, DIM, NUMBERS, CAP = 8192, 16, 13, 1_000_000
BOTTOM, TOP = (512, 256, 64, 16), (512, 256)
TABLES = [
    min(size, CAP)
    for size in (1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194,
                 27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572)
]  # fmt: skip


def make_rows(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Counts (B,) float32, log-normal; ids (B,) int64, low ones more frequent; labels (B,)."""
    rng = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {"label": rng.integers(0, 2, rows)}
    columns |= {f"int_{n}": np.floor(rng.lognormal(1.0, 1.5, rows)).astype(np.float32) for n in range(NUMBERS)}
    columns |= {f"cat_{n}": (rng.random(rows) ** 3 * size).astype(np.int64) for n, size in enumerate(TABLES)}
    return columns


def write(folder: Path, rows: int, files: int = 4) -> None:
    """Write rows as Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in range(files):
        pq.write_table(pa.table(make_rows(rows // files, file)), folder / f"part-{file}.parquet", compression="zstd")


def config_text(train: str, model_dir: str) -> str:
    """Config of the model."""
    numbers, ids = [f"int_{n}" for n in range(NUMBERS)], [f"cat_{n}" for n in range(len(TABLES))]
    features = [
        f'feature_configs {{ raw_feature {{ feature_name: "{name}" expression: "context:{name}"'
        ' normalizer: "method=log10,threshold=1e-10,default=-1" } }'
        for name in numbers
    ]
    features += [
        f'feature_configs {{ id_feature {{ feature_name: "{name}" expression: "context:{name}"'
        f" num_buckets: {size} embedding_dim: {DIM} }} }}"
        for name, size in zip(ids, TABLES, strict=True)
    ]
    newline = "\n"
    return f"""
train_input_path: "{train}"
eval_input_path: ""
model_dir: "{model_dir}"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.001 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.001 }} constant_learning_rate {{}} }}
  num_epochs: 1
  log_step_count_steps: 10
}}
data_config {{
  dataset_type: ParquetDataset  fg_mode: FG_DAG  label_fields: "label"
  batch_size: {BATCH}  num_workers: 4  shuffle: true
}}
{newline.join(features)}
model_config {{
  feature_groups {{ group_name: "dense" group_type: DEEP feature_names: {_list(numbers)} }}
  feature_groups {{ group_name: "sparse" group_type: DEEP feature_names: {_list(ids)} }}
  dlrm {{
    dense_mlp {{ hidden_units: {list(BOTTOM)} }}
    arch_with_sparse: false
    final {{ hidden_units: {list(TOP)} }}
  }}
  losses {{ binary_cross_entropy {{}} }}
}}
"""


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
