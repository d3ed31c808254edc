"""Measure what saving a state of 1 GB costs the steps around it, and what starting from it costs.

    python experiments/bench/checkpoints.py            # about three minutes on two idle cores

A step is made of matrix products and takes as long as one of the model of `bench.py`. Steps with a save and steps
without one take turns; every figure is the median over `--repeats` rounds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections import defaultdict
from pathlib import Path

import torch
from record import record

import tzrec.checkpoint.tensor_files  # noqa: F401  imported before anything is measured
from tzrec.checkpoint import store
from tzrec.checkpoint.manifest import CheckpointManifest
from tzrec.checkpoint.position import Position
from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.saver import Saver, Tensors

ROWS, DIM = 4_000_000, 32
"""Of a table of 512 MB; its optimizer state is as large."""
STEP_S = 0.15


def steps_s(num_steps: int, num_products: int) -> float:
    """Run steps; return their seconds."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    start = time.perf_counter()
    for _ in range(num_steps * num_products):
        torch.mm(left, right)
    return time.perf_counter() - start


def products_per_step() -> int:
    """Count the products that take as long as a step."""
    steps_s(1, 10)
    return max(1, round(STEP_S * 50 / steps_s(1, 50)))


def save_s(
    saver: Saver, step: int, parts: dict[str, Tensors], num_steps: int, num_products: int
) -> tuple[float, float]:
    """Save and run steps; return the seconds of both together, and those for which the loop waited."""
    start = time.perf_counter()
    saved = saver.save(CheckpointManifest(Position(step), is_finite=True), parts, plan="{}")
    steps_s(num_steps, num_products)
    seconds = time.perf_counter() - start
    saver.wait()
    return seconds, saved.waited


def drop_from_cache(checkpoint: Path) -> None:
    """Make the next reader of a checkpoint read it from the disk."""
    for path in (path for path in checkpoint.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_s(checkpoint: Path) -> float:
    """Read all bytes of a checkpoint; return the seconds."""
    block = bytearray(1 << 22)
    start = time.perf_counter()
    for path in (path for path in checkpoint.rglob("*") if path.is_file()):
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(block):
                pass
    return time.perf_counter() - start


def start_s(model_dir: Path, parts: dict[str, Tensors]) -> float:
    """Find, verify and restore the newest checkpoint; return the seconds."""
    start = time.perf_counter()
    checkpoint = store.find(model_dir)
    for part, tensors in parts.items():
        restore(checkpoint.path / part, tensors)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps around a save")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("experiments/bench/out/checkpoints"))
    args = parser.parse_args()

    shutil.rmtree(args.out, ignore_errors=True)
    parts: dict[str, Tensors] = {
        "model": {"table": torch.rand(ROWS, DIM)},
        "optimizer": {"table.sum": torch.rand(ROWS, DIM)},
    }
    saver, num_products = Saver(args.out, 1, lambda older: ()), products_per_step()
    samples: dict[str, list[float]] = defaultdict(list)
    for step in range(args.repeats):
        plain = steps_s(args.steps, num_products)
        saving, waited = save_s(saver, step, parts, args.steps, num_products)
        newest = store.checkpoint_path(args.out, step)
        drop_from_cache(newest)
        reading = read_s(newest)
        drop_from_cache(newest)
        starting = start_s(args.out, parts)
        figures = {"plain_s": plain, "saving_s": saving, "waited_s": waited, "read_s": reading, "start_s": starting}
        figures |= {"save_ratio": saving / plain, "start_ratio": starting / reading}
        for name, value in figures.items():
            samples[name].append(value)
    saver.finish()
    shutil.rmtree(args.out)
    medians = {name: round(statistics.median(values), 3) for name, values in samples.items()}
    print(f"{args.steps} steps take {medians['save_ratio']:.3f} times as long with a save as without; it waits "
          f"{medians['waited_s']:.2f} s")  # fmt: skip
    print(f"starting takes {medians['start_ratio']:.2f} times as long as reading the bytes ({medians['read_s']:.2f} s)")
    record("checkpoints", medians)


if __name__ == "__main__":
    main()
