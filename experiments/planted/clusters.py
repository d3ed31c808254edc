"""Train every match model on users whose items come from planted clusters, and find these items among all.

    python experiments/planted/clusters.py                 # all match models
    python experiments/planted/clusters.py --models mind

400 items are in 20 clusters, and each of 500 users likes two clusters. A row is a user and an item of one of them; some
items are more popular than others. After training, the vectors of all users are compared with those of all items, as
the exported packages compute them: at least 0.9 of the 30 nearest items of a user must be of the two clusters, and both
of them must be among these items for 0.9 of the users. Chance finds 0.1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tzrec.config.check import load_checked
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.run.session import Session
from tzrec.run.train import train
from tzrec.serving.parts import split
from tzrec.serving.predictor import Predictor
from tzrec.serving.servable import Servable
from tzrec.serving.trained_model import TrainedModel

FOLDER = Path(__file__).parent / "match"
MODELS = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.config"))}
"""Text of model_config by model: a file for every match model of tzrec/models."""
USERS, ITEMS, CLUSTERS, ROWS, HISTORY, NEAREST = 500, 400, 20, 40_000, 20, 30
MIN_SHARE = 0.9
FEATURE = (
    'feature_configs {{ id_feature {{ feature_name: "{name}" expression: "{side}:{column}" num_buckets: {rows} '
    "embedding_dim: {dim} }} }}"
)
CONFIG = """
train_input_path: "{out}/train.parquet" eval_input_path: "" model_dir: "{out}/{name}"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.003 }} constant_learning_rate {{}} }}
  num_epochs: 8 use_tensorboard: false num_threads: 1
}}
data_config {{
  batch_size: 256 dataset_type: ParquetDataset fg_mode: FG_DAG label_fields: "clk" shuffle: true num_workers: 1
}}
{features}
feature_configs {{ sequence_id_feature {{ feature_name: "clicks" expression: "user:clicks" sequence_length: {history}
  num_buckets: {items} embedding_dim: 16 }} }}
model_config {{ {model} losses {{ softmax_cross_entropy {{}} }} }}
"""

Columns = dict[str, np.ndarray]


def config_text(name: str, out: Path) -> str:
    """The complete config of a model."""
    entries = [
        ("user", "user", "user", USERS, 16),
        ("age", "user", "age", 5, 4),
        ("item", "item", "item", ITEMS, 16),
        ("cate", "item", "cate", 7, 4),
        ("user_augment", "user", "user", USERS, 16),
        ("item_augment", "item", "item", ITEMS, 16),
    ]
    features = [
        FEATURE.format(name=feature, side=side, column=column, rows=rows, dim=dim)
        for feature, side, column, rows, dim in entries
    ]
    return CONFIG.format(
        out=out, name=name, features="\n".join(features), history=HISTORY, items=ITEMS, model=MODELS[name]
    )


class Clusters:
    """Clusters of items, and of each user the two that the user likes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.cluster_by_item = rng.permutation(np.arange(ITEMS) % CLUSTERS)
        self.clusters_by_user = np.stack([rng.permutation(CLUSTERS)[:2] for _ in range(USERS)])
        self.popularity = rng.lognormal(0, 0.7, ITEMS)
        self.ages, self.cates = rng.integers(0, 5, USERS), rng.integers(0, 7, ITEMS)

    def draw_items(self, users: np.ndarray) -> np.ndarray:
        """Draw an item of one of both clusters for each user, by popularity."""
        clusters = self.clusters_by_user[users, self.rng.integers(0, 2, len(users))]
        result = np.empty(len(users), np.int64)
        for cluster in range(CLUSTERS):
            members = np.flatnonzero(self.cluster_by_item == cluster)
            weights = self.popularity[members]
            chosen = clusters == cluster
            result[chosen] = self.rng.choice(members, chosen.sum(), p=weights / weights.sum())
        return result

    def user_columns(self, users: np.ndarray) -> dict[str, Any]:
        """Columns of users, with a history of their own for each row."""
        history = np.stack([self.draw_items(users) for _ in range(HISTORY)], axis=1)
        texts = [";".join(map(str, row)) for row in history]
        return {"user": users, "age": self.ages[users], "clicks": texts}

    def item_columns(self, items: np.ndarray) -> Columns:
        return {"item": items, "cate": self.cates[items]}

    def write(self, path: Path) -> None:
        """Write the rows to train on."""
        users = self.rng.integers(0, USERS, ROWS)
        columns = self.user_columns(users) | self.item_columns(self.draw_items(users))
        pq.write_table(pa.table({**columns, "clk": np.ones(ROWS, np.int64)}), path)


def vectors(part: TrainedModel, rows: dict[str, Any]) -> np.ndarray:
    """Vectors of a tower for raw rows, `(rows, K, D)`; K is 1 for one vector per row."""
    encoder = FeatureEncoder.from_config(part.config.feature_configs, part.config.data_config)
    table = Predictor(Servable.from_model(part.model), part.config, encoder).predict(pa.table(rows))
    values = np.array(table.column(0).to_pylist(), np.float32)
    return values if values.ndim == 3 else values[:, None, :]


def measure(name: str, clusters: Clusters, out: Path) -> dict[str, Any]:
    """Train a model and search the items of all users; returns its row of the table."""
    start = time.perf_counter()
    path = out / f"{name}.config"
    path.write_text(config_text(name, out))
    config = load_checked(str(path), {})
    train(config)
    with Session.load(config, purpose="serving") as session:
        trained = TrainedModel(session.rec_model, config, session.encoder.features, session.step)
        parts = split(trained)
        items = vectors(parts["item"], clusters.item_columns(np.arange(ITEMS)))[:, 0]
        users = vectors(parts["user"], clusters.user_columns(np.arange(USERS)))
    scores = np.einsum("ukd,id->uki", users, items)
    is_interest = np.abs(users).sum(2) > 0
    best = np.where(is_interest[:, :, None], scores, -np.inf).max(1)
    nearest = np.argsort(-best, axis=1)[:, :NEAREST]
    of_nearest = clusters.cluster_by_item[nearest]
    liked = clusters.clusters_by_user
    share = float(np.mean((of_nearest[:, :, None] == liked[:, None, :]).any(2)))
    both = float(np.mean([set(row) >= set(pair) for row, pair in zip(of_nearest, liked, strict=True)]))
    return {"model": name, "share": share, "both": both, "passed": min(share, both) >= MIN_SHARE,
            "seconds": time.perf_counter() - start}  # fmt: skip


def main() -> int:
    warnings.filterwarnings("ignore", category=FutureWarning)  # from torch
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    args = parser.parse_args()
    print(f"| model | share of the {NEAREST} nearest items in the clusters of the user | both clusters | passes | s |")
    print("|---|---|---|---|---|")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        clusters = Clusters(np.random.default_rng(5))
        clusters.write(Path(folder) / "train.parquet")
        for name in args.models:
            row = measure(name, clusters, Path(folder))
            results.append(row)
            verdict = "yes" if row["passed"] else "**NO**"
            values = f"{row['share']:.3f} | {row['both']:.3f} | {verdict} | {row['seconds']:.0f}"
            print(f"| {name} | {values} |", flush=True)
    if len(results) == len(MODELS):
        lines = ",\n".join(" " + json.dumps(row) for row in results)
        (FOLDER.parent / "clusters.json").write_text(f"[\n{lines}\n]\n")
    return 0 if all(row["passed"] for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
