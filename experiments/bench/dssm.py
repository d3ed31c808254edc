"""DSSM with sampled negatives: its data and config, and a plain loop that trains it from memory.

    python experiments/bench/dssm.py --precision fp32 --steps 30

The loop is eager: nn.Linear, one fbgemm table batch for each side with exact Adagrad, Adam, torch.multinomial for the
negatives, attributes of items looked up in memory, without tuning.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    EmbeddingLocation,
    OptimType,
    SplitTableBatchedEmbeddingBagsCodegen,
)
from plain import mlp
from torch import nn
from torch.nn import functional

BATCH, DIM, NUM_SAMPLED, OUTPUT_DIM, TEMPERATURE = 4096, 16, 1024, 64, 0.1
HIDDEN = (512, 256, 128)
USER_TABLES = (500_000, 1_000, 100, 10, 7, 5_000, 50_000, 200, 24, 7)
ITEM_TABLES = (100_000, 10_000, 500, 50, 1_000, 20)
"""Rows of the tables; the first ones are those of users and items."""
NUM_ITEMS = ITEM_TABLES[0]

CONFIG = """
train_input_path: "{out}/train/*.parquet" eval_input_path: "" model_dir: "{out}/model"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.001 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.001 }} constant_learning_rate {{}} }}
  num_epochs: 1 log_step_count_steps: 10 use_tensorboard: false mixed_precision: "{precision}"
}}
data_config {{
  dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: {batch} num_workers: 2 label_fields: "clk"
  negative_sampler {{
    input_path: "{out}/items.txt" num_sample: {num_sampled} item_id_field: "item0" attr_fields: [{attributes}]
  }}
}}
{features}
model_config {{
  feature_groups {{ group_name: "user" group_type: DEEP feature_names: [{user_names}] }}
  feature_groups {{ group_name: "item" group_type: DEEP feature_names: [{attributes}] }}
  dssm {{
    user_tower {{ input: "user" mlp {{ hidden_units: {hidden} }} }}
    item_tower {{ input: "item" mlp {{ hidden_units: {hidden} }} }}
    output_dim: {output_dim} similarity: COSINE temperature: {temperature}
  }}
  losses {{ softmax_cross_entropy {{}} }}
}}
"""


def items() -> np.ndarray:
    """Attributes of all items, `(attributes, NUM_ITEMS)`; the first one is the id."""
    rng = np.random.default_rng(1)
    return np.stack([np.arange(NUM_ITEMS), *(rng.integers(0, size, NUM_ITEMS) for size in ITEM_TABLES[1:])])


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Skewed ids of the users' features `(features, count)`, and the items `(count,)`."""
    rng = np.random.default_rng(2)
    users = np.stack([(rng.random(count) ** 3 * size).astype(np.int64) for size in USER_TABLES])
    return users, (rng.random(count) ** 3 * NUM_ITEMS).astype(np.int64)


def config_text(out: Path, precision: str) -> str:
    """Config of DSSM on the data of `write`."""
    sides = [("user", index, size) for index, size in enumerate(USER_TABLES)]
    sides += [("item", index, size) for index, size in enumerate(ITEM_TABLES)]
    features = [
        f'feature_configs {{ id_feature {{ feature_name: "{side}{index}" expression: "{side}:{side}{index}" '
        f"num_buckets: {size} embedding_dim: {DIM} }} }}"
        for side, index, size in sides
    ]
    return CONFIG.format(
        out=out,
        precision={"fp32": "", "bf16": "BF16"}[precision],
        batch=BATCH,
        num_sampled=NUM_SAMPLED,
        attributes=", ".join(f'"item{index}"' for index in range(len(ITEM_TABLES))),
        user_names=", ".join(f'"user{index}"' for index in range(len(USER_TABLES))),
        features="\n".join(features),
        hidden=list(HIDDEN),
        output_dim=OUTPUT_DIM,
        temperature=TEMPERATURE,
    )


def write(out: Path, num_rows: int) -> None:
    """Write rows, and the table of items with equal weights."""
    (users, positives), attributes = rows(num_rows), items()
    columns = {f"user{index}": ids for index, ids in enumerate(users)}
    columns |= {f"item{index}": values[positives] for index, values in enumerate(attributes)}
    (out / "train").mkdir(parents=True)
    table = pa.table({**columns, "clk": np.ones(num_rows, np.int64)})
    pq.write_table(table, out / "train" / "0.parquet", row_group_size=32768)
    lines = (f"{item}\t1.0\t{':'.join(map(str, values))}\n" for item, values in enumerate(attributes.T.tolist()))
    (out / "items.txt").write_text("id:int64\tweight:float\tattrs:string\n" + "".join(lines))


class Side(nn.Module):
    """Tables and tower of one side."""

    def __init__(self, tables: tuple[int, ...]) -> None:
        super().__init__()
        self.tables = SplitTableBatchedEmbeddingBagsCodegen(
            [(size, DIM, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in tables],
            optimizer=OptimType.EXACT_ADAGRAD,
            learning_rate=1e-3,
        )
        self.tables.init_embedding_weights_uniform(-0.01, 0.01)
        self.tower = nn.Sequential(mlp(DIM * len(tables), HIDDEN), nn.Linear(HIDDEN[-1], OUTPUT_DIM))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(features, B) -> (B, OUTPUT_DIM)"""
        vectors = self.tower(self.tables(ids.reshape(-1), torch.arange(ids.numel() + 1)))
        return functional.normalize(vectors.float(), dim=1)


class PlainLoop:
    """Training of both sides from memory.

    Args:
        precision: "fp32" or "bf16".
        num_batches: batches in memory, used one after the other.
    """

    def __init__(self, precision: str, num_batches: int = 10) -> None:
        torch.manual_seed(0)
        self.user_side, self.item_side = Side(USER_TABLES), Side(ITEM_TABLES)
        dense = [p for side in (self.user_side, self.item_side) for p in side.tower.parameters()]
        self.optimizer = torch.optim.Adam(dense, lr=1e-3)
        users, positives = map(torch.from_numpy, rows(num_batches * BATCH))
        self.batches = itertools.cycle(
            [(part.contiguous(), ids) for part, ids in zip(users.split(BATCH, 1), positives.split(BATCH), strict=True)]
        )
        self.attributes, self.weights = torch.from_numpy(items()), torch.ones(NUM_ITEMS)
        self.target, self.is_half = torch.zeros(BATCH, dtype=torch.int64), precision == "bf16"

    def step(self) -> None:
        """Train one step."""
        users, positives = next(self.batches)
        negatives = torch.multinomial(self.weights, NUM_SAMPLED, replacement=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_half):
            user = self.user_side(users)
            item = self.item_side(self.attributes[:, torch.cat([positives, negatives])])
            own = (user * item[:BATCH]).sum(1, keepdim=True)
            scores = torch.cat([own, user @ item[BATCH:].t()], 1) / TEMPERATURE
        loss = functional.cross_entropy(scores.float(), self.target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    loop, seconds = PlainLoop(args.precision), []
    for _ in range(args.steps + 5):
        start = time.perf_counter()
        loop.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"samples_per_s": BATCH / statistics.median(seconds[5:])}))


if __name__ == "__main__":
    main()
