"""Train every sequence encoder on data whose label depends on one element of a history: that of the candidate item.

    python experiments/planted/sequences.py                 # all encoders
    python experiments/planted/sequences.py --encoders din_encoder sim_encoder

A row has a candidate item and a history of two to eight items, among them the candidate; each was liked or not. A click
has probability 0.9 if the candidate was liked and 0.1 otherwise. On held-out rows the gain of the AUC over 0.5 must be
at least 0.9 of the gain of the true probabilities. Pooling only knows the share of liked items and must stay below 0.7:
otherwise the signal could be found without attention. Self-attention does not see the candidate and must describe all
items; it must reach 0.65.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from tzrec.config.check import load_checked
from tzrec.run.train import train

FOLDER = Path(__file__).parent
ITEMS, TRAIN_ROWS, EVAL_ROWS = 10, 40_000, 10_000
MIN_SHARE, MAX_SHARE = 0.9, 1.1
BOUNDS = {"pooling_encoder": (0, 0.7), "self_attention_encoder": (0.65, MAX_SHARE)}
"""Smallest and largest share of the attainable gain, where they are not MIN_SHARE and MAX_SHARE."""

CONFIG = """
train_input_path: "{data}/train.parquet"
eval_input_path: "{data}/eval.parquet"
model_dir: "{model_dir}"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.005 }} constant_learning_rate {{}} }}
  num_epochs: 4
  use_tensorboard: false  num_threads: 1
}}
data_config {{
  batch_size: 512  eval_batch_size: 4096  dataset_type: ParquetDataset  fg_mode: FG_DAG
  label_fields: ["clk"]  shuffle: true  num_workers: 1
}}
feature_configs {{ id_feature {{ feature_name: "item" expression: "item:item" embedding_name: "item_emb"
  num_buckets: {items} embedding_dim: 8 init_fn: "nn.init.normal_,std=0.5" }} }}
feature_configs {{ id_feature {{ feature_name: "zero" expression: "item:zero" num_buckets: 1 embedding_dim: 4 }} }}
feature_configs {{ sequence_feature {{ sequence_name: "h" sequence_length: 20
  features {{ id_feature {{ feature_name: "item" expression: "item:item" embedding_name: "item_emb"
    num_buckets: {items} embedding_dim: 8 init_fn: "nn.init.normal_,std=0.5" }} }}
  features {{ id_feature {{ feature_name: "liked" expression: "item:liked" num_buckets: 2 embedding_dim: 4
    init_fn: "nn.init.normal_,std=0.5" }} }}
}} }}
model_config {{
  {model}
  losses {{ binary_cross_entropy {{}} }}
  metrics {{ auc {{ thresholds: 0 }} }}
}}
"""
DEEP = """feature_groups {{
    group_name: "all" group_type: DEEP feature_names: ["item"]
    sequence_groups {{ group_name: "h" feature_names: [{query}, "h__item", "h__liked"] }}
    sequence_encoders {{ {encoder} }}
  }}
  multi_tower {{ towers {{ input: "all" mlp {{ hidden_units: [32, 16] }} }} final {{ hidden_units: [16] }} }}"""
MODELS = {
    "multi_tower_din": """feature_groups { group_name: "all" group_type: DEEP feature_names: ["item"] }
  feature_groups { group_name: "h" group_type: SEQUENCE feature_names: ["item", "h__item", "h__liked"] }
  multi_tower_din {
    towers { input: "all" mlp { hidden_units: [32, 16] } }
    din_towers { input: "h" attn_mlp { hidden_units: [16] } }
    final { hidden_units: [16] }
  }"""
}
ENCODERS = {path.stem: path.read_text() for path in sorted((FOLDER / "sequence_encoders").glob("*.config"))}
"""Text of the encoder: a file of `sequence_encoders` for every encoder, with `input: "h"`."""
EQUAL_WIDTH = {"simple_attention"}


def draw(rows: int, rng: np.random.Generator) -> tuple[pa.Table, np.ndarray]:
    """Rows and the probabilities of their labels."""
    lengths = rng.integers(2, 9, rows)
    items = [rng.permutation(ITEMS)[:length] for length in lengths]
    liked = [rng.integers(0, 2, length) for length in lengths]
    at = rng.integers(0, lengths)
    probabilities = np.where([row[i] for row, i in zip(liked, at, strict=True)], 0.9, 0.1)
    return pa.table({
        "item": [row[i] for row, i in zip(items, at, strict=True)],
        "zero": np.zeros(rows, np.int64),
        "h__item": items,
        "h__liked": liked,
        "clk": (rng.random(rows) < probabilities).astype(np.int64),
    }), probabilities  # fmt: skip


def make_data(folder: Path) -> float:
    """Write train and eval.parquet; returns the AUC of the true probabilities."""
    rng = np.random.default_rng(4)
    pq.write_table(draw(TRAIN_ROWS, rng)[0], folder / "train.parquet")
    table, probabilities = draw(EVAL_ROWS, rng)
    pq.write_table(table, folder / "eval.parquet")
    return float(roc_auc_score(table["clk"].to_numpy(), probabilities))


def model_text(name: str) -> str:
    """Text of model_config without losses and metrics."""
    query = '"item", "zero"' if name in EQUAL_WIDTH else '"item"'
    return MODELS.get(name) or DEEP.format(query=query, encoder=ENCODERS[name])


def measure(name: str, folder: Path, attainable: float) -> dict[str, Any]:
    """Train one encoder; returns its row of the table."""
    start = time.perf_counter()
    path = folder / f"{name}.config"
    path.write_text(CONFIG.format(data=folder, model_dir=folder / name, items=ITEMS, model=model_text(name)))
    auc = train(load_checked(str(path), {})).metrics["auc"]
    share = (auc - 0.5) / (attainable - 0.5)
    least, most = BOUNDS.get(name, (MIN_SHARE, MAX_SHARE))
    row = {"encoder": name, "auc": auc, "share": share, "required": [least, most]}
    return {**row, "passed": least <= share <= most, "seconds": time.perf_counter() - start}


def main() -> int:
    warnings.filterwarnings("ignore", category=FutureWarning)  # from torch
    names = [*ENCODERS, *MODELS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", choices=names, default=names)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        attainable = make_data(Path(folder))
        print(f"attainable AUC: {attainable:.4f}")
        print("| encoder | AUC | share of the attainable gain | required | passes | s |")
        print("|---|---|---|---|---|---|")
        for name in args.encoders:
            row = measure(name, Path(folder), attainable)
            rows.append(row)
            verdict, (least, most) = "yes" if row["passed"] else "**NO**", row["required"]
            cells = f"{row['auc']:.4f} | {row['share']:.3f} | {least} to {most} | {verdict} | {row['seconds']:.0f}"
            print(f"| {name} | {cells} |", flush=True)
    print(f"{sum(row['passed'] for row in rows)} of {len(rows)} pass, {sum(row['seconds'] for row in rows):.0f} s")
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
