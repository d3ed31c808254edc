"""A small job: its config, its made-up data, and what it leaves behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.integration.record_losses import Recorder
from tzrec.checkpoint import store
from tzrec.checkpoint.restore import restore, stored_sizes

ROWS = 600

CONFIG = """
train_input_path: "{data}/*.parquet"
eval_input_path: "{data}/0.parquet"
model_dir: "{model}"
train_config {{
  sparse_optimizer {{
    adagrad_optimizer {{ lr: 0.05 }} exponential_decay_learning_rate {{ decay_size: 5 decay_factor: 0.9 }}
  }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.01 }} cosine_annealing_learning_rate {{ T_max: 30 warmup_size: 5 }} }}
  num_steps: 20
  log_step_count_steps: 1
  use_tensorboard: false num_threads: 1
}}
data_config {{
  batch_size: 64 eval_batch_size: 128 dataset_type: ParquetDataset fg_mode: FG_DAG num_workers: 1
  label_fields: "clk" label_fields: "buy" label_fields: "spent"
  shuffle: true shuffle_buffer_size: 2
}}
feature_configs {{ id_feature {{ feature_name: "user" expression: "user:user" num_buckets: 100 embedding_dim: 8 }} }}
feature_configs {{
  id_feature {{ feature_name: "item" expression: "item:item" hash_bucket_size: 50 embedding_dim: 8 }}
}}
feature_configs {{
  id_feature {{ feature_name: "tags" expression: "item:tags" num_buckets: 20 embedding_dim: 4 separator: "," }}
}}
feature_configs {{ raw_feature {{ feature_name: "price" expression: "item:price" }} }}
model_config {{
  feature_groups {{ group_name: "all" feature_names: ["user", "item", "tags", "price"] group_type: DEEP }}
  mmoe {{
    expert_mlp {{ hidden_units: [16, 8] dropout_ratio: [{dropout}, {dropout}] }}
    num_expert: 2
    task_towers {{
      tower_name: "ctr" label_name: "clk" mlp {{ hidden_units: [8] }}
      losses {{ binary_cross_entropy {{}} }} metrics {{ auc {{ thresholds: 0 }} }}
    }}
    task_towers {{
      tower_name: "cvr" label_name: "buy" losses {{ binary_cross_entropy {{}} }} metrics {{ auc {{ thresholds: 0 }} }}
    }}
  }}
}}
"""


def write_data(folder: Path) -> None:
    """Three files of a log in which clicks follow from user, item and price."""
    rng = np.random.default_rng(0)
    user, item, price = rng.integers(0, 100, ROWS), rng.integers(0, 30, ROWS), rng.random(ROWS)
    logit = 2 * np.sin(user) + np.cos(item) + price
    click = rng.random(ROWS) < 1 / (1 + np.exp(-logit))
    table = {
        "user": user,
        "item": [f"i{each}" for each in item],
        "tags": [",".join(map(str, rng.integers(0, 20, rng.integers(0, 4)))) for _ in range(ROWS)],
        "price": price.astype(np.float32),
        "clk": click.astype(np.int64),
        "buy": (click & (rng.random(ROWS) < 0.3)).astype(np.int64),
        "spent": np.zeros(ROWS, np.float32),
    }
    folder.mkdir()
    for part in range(3):
        piece = {name: values[part * 200 : (part + 1) * 200] for name, values in table.items()}
        pq.write_table(pa.table(piece), folder / f"{part}.parquet")


Job = Callable[..., tuple[Path, Recorder]]


def tensors(model_dir: Path, step: int) -> dict[str, torch.Tensor]:
    """Everything in a checkpoint: weights, optimizer state, and what else there is."""
    found = {}
    for directory in sorted(path for path in (model_dir / f"model.ckpt-{step}").iterdir() if path.is_dir()):
        values = {name: torch.zeros(size) for name, size in stored_sizes(directory).items()}
        assert restore(directory, values).problems == []
        found |= {f"{directory.name}/{name}": value for name, value in values.items()}
    return found


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert different == []


def results(model_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (model_dir / store.RESULTS).read_text().splitlines()]


def losses_on(ranks: int, tmp_path: Path, name: str, go_on: bool = False, **edits: Any) -> list[dict[str, float]]:
    """Losses of every step with so many processes."""
    config, out = tmp_path / "job.config", tmp_path / "losses.json"
    config.write_text(CONFIG.format(data=tmp_path / "data", model=tmp_path / name, dropout=0.0))
    dotted = {path.replace("__", "."): value for path, value in edits.items()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = str(Path(__file__).parent / "record_losses.py")
    command = [sys.executable, script, str(config), json.dumps(dotted), str(out), "yes" if go_on else ""]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd(), "MASTER_ADDR": "127.0.0.1"}
    common |= {"MASTER_PORT": str(port), "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    places = [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
    processes = [subprocess.Popen(command, env=each) for each in places]
    assert [process.wait(120) for process in processes] == [0] * ranks
    found: list[dict[str, float]] = json.loads(out.read_text())
    return found


def assert_close(a: list[dict[str, float]], b: list[dict[str, float]]) -> None:
    assert len(a) == len(b)
    for one, two in zip(a, b, strict=True):
        assert one == pytest.approx(two, abs=1e-5)
