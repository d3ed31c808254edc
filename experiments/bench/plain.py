"""Baseline of the benchmark: a plain training loop for the same model.

Eager nn.Linear, one fbgemm table batch with exact Adagrad, Adam, tensors in memory, without tuning.

    python experiments/bench/plain.py --model mmoe --precision fp32 --steps 30
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence

import criteo
import numpy as np
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    EmbeddingLocation,
    OptimType,
    SplitTableBatchedEmbeddingBagsCodegen,
)
from torch import nn

from tzrec.tools.make_taobao import FEATURES

BATCH, DIM, NUM_EXPERT = 8192, 16, 3
EXPERT, TOWER = (512, 256, 128), (256, 128, 64)


def mlp(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    return nn.Sequential(*layers)


class PlainMMoE(nn.Module):
    """MMoE of plain layers."""

    tables: Sequence[int] = [feature.rows for feature in FEATURES]
    tasks, numbers = 2, 0

    def __init__(self) -> None:
        super().__init__()
        width = DIM * len(self.tables)
        self.experts = nn.ModuleList(mlp(width, EXPERT) for _ in range(NUM_EXPERT))
        self.gates = nn.ModuleList(nn.Linear(width, NUM_EXPERT) for _ in range(2))
        self.towers = nn.ModuleList(nn.Sequential(mlp(EXPERT[-1], TOWER), nn.Linear(TOWER[-1], 1)) for _ in range(2))

    def forward(self, numbers: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
        experts = torch.stack([expert(x) for expert in self.experts], 1)  # (B, E, D)
        mixed = [(torch.softmax(gate(x), 1).unsqueeze(1) @ experts).squeeze(1) for gate in self.gates]  # (B, D)
        return [tower(y).squeeze(1) for tower, y in zip(self.towers, mixed, strict=True)]


class PlainDLRM(nn.Module):
    """DLRM of plain layers."""

    tables: Sequence[int] = criteo.TABLES
    tasks, numbers = 1, criteo.NUMBERS

    def __init__(self) -> None:
        super().__init__()
        fields = len(self.tables) + 1
        self.row, self.column = torch.triu_indices(fields, fields, 1)
        self.bottom = mlp(criteo.NUMBERS, criteo.BOTTOM)
        self.top = mlp(DIM + len(self.row), criteo.TOP)
        self.output = nn.Linear(criteo.TOP[-1], 1)

    def forward(self, numbers: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
        bottom = self.bottom(numbers)  # (B, D)
        vectors = torch.cat([bottom.unsqueeze(1), x.unflatten(1, (-1, DIM))], 1)  # (B, F, D)
        dots = (vectors @ vectors.mT)[:, self.row, self.column]  # (B, F (F - 1) / 2)
        return [self.output(self.top(torch.cat([bottom, dots], 1))).squeeze(1)]


MODELS = {"mmoe": PlainMMoE, "dlrm": PlainDLRM}
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Ids of all features `(F * B,)`, feature by feature, numbers `(B, N)` and labels `(T, B)`."""


def batches(model: type[PlainMMoE] | type[PlainDLRM], count: int) -> list[Batch]:
    """Random batches with skewed ids."""
    rng = np.random.default_rng(7)
    result = []
    for _ in range(count):
        ids = np.concatenate([(rng.random(BATCH) ** 3 * size).astype(np.int64) for size in model.tables])
        numbers = rng.standard_normal((BATCH, model.numbers), dtype=np.float32)
        labels = rng.random((model.tasks, BATCH)).round().astype(np.float32)
        result.append((torch.from_numpy(ids), torch.from_numpy(numbers), torch.from_numpy(labels)))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(MODELS), default="mmoe")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = MODELS[args.model]()
    tables = SplitTableBatchedEmbeddingBagsCodegen(
        [(size, DIM, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in model.tables],
        optimizer=OptimType.EXACT_ADAGRAD,
        learning_rate=1e-3,
    )
    tables.init_embedding_weights_uniform(-0.01, 0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    offsets = torch.arange(len(model.tables) * BATCH + 1)
    data = batches(MODELS[args.model], 10)

    seconds = []
    for step in range(args.steps + 5):
        ids, numbers, labels = data[step % len(data)]
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            logits = model(numbers, tables(ids, offsets))
        pairs = zip(logits, labels, strict=True)
        loss = sum(nn.functional.binary_cross_entropy_with_logits(x.float(), y) for x, y in pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"samples_per_s": BATCH / statistics.median(seconds[5:])}))


if __name__ == "__main__":
    main()
