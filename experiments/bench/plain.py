"""The bound of the benchmark: what a competent user writes in an afternoon for the same model.

Eager nn.Linear, one fbgemm table batch with exact Adagrad, Adam, tensors in memory, nothing tuned.

    python experiments/bench/plain.py --precision fp32 --steps 30
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

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
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    return nn.Sequential(*layers)


class PlainMMoE(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(mlp(width, EXPERT) for _ in range(NUM_EXPERT))
        self.gates = nn.ModuleList(nn.Linear(width, NUM_EXPERT) for _ in range(2))
        self.towers = nn.ModuleList(nn.Sequential(mlp(EXPERT[-1], TOWER), nn.Linear(TOWER[-1], 1)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        experts = torch.stack([expert(x) for expert in self.experts], 1)  # (B, E, D)
        mixed = [(torch.softmax(gate(x), 1).unsqueeze(1) @ experts).squeeze(1) for gate in self.gates]  # (B, D)
        return [tower(each).squeeze(1) for tower, each in zip(self.towers, mixed, strict=True)]


def batches(rows: list[int], count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Ids of all features one after the other `(F * B,)` and labels `(2, B)`; skewed as ids are."""
    rng = np.random.default_rng(7)
    made = []
    for _ in range(count):
        ids = np.concatenate([(rng.random(BATCH) ** 3 * size).astype(np.int64) for size in rows])
        made.append((torch.from_numpy(ids), torch.from_numpy(rng.random((2, BATCH)).round().astype(np.float32))))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()

    rows = [feature.rows for feature in FEATURES]
    torch.manual_seed(0)
    tables = SplitTableBatchedEmbeddingBagsCodegen(
        [(size, DIM, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in rows],
        optimizer=OptimType.EXACT_ADAGRAD,
        learning_rate=1e-3,
    )
    tables.init_embedding_weights_uniform(-0.01, 0.01)
    model = PlainMMoE(DIM * len(rows))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    offsets = torch.arange(len(rows) * BATCH + 1)
    data = batches(rows, 10)

    seconds = []
    for step in range(args.steps + 5):
        ids, labels = data[step % len(data)]
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            logits = model(tables(ids, offsets))
        pairs = zip(logits, labels, strict=True)
        loss = sum(nn.functional.binary_cross_entropy_with_logits(x.float(), y) for x, y in pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"samples_per_s": BATCH / statistics.median(seconds[5:])}))


if __name__ == "__main__":
    main()
