"""Benchmark of the negative sampler: its share of the processor time of a training step of DSSM.

    python experiments/bench/sampler.py          # one minute; part of `make bench-retrieval`

A batch has 1,024 rows and 1,024 sampled negatives, from a million items with text ids and three attributes. The time of
a step, with reading, is the difference between runs of two lengths; that of the sampler is measured in its thread. The
conversion of a larger table is timed too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec import train_eval
from tzrec.config.load import load_config
from tzrec.data.samplers.base import SampledRows
from tzrec.data.samplers.negative_sampler import NegativeSampler
from tzrec.data.samplers.node_table import NodeTable
from tzrec.data.synthetic import make_data

CONFIG = "examples/configs/dssm_taobao.config"
BATCH, NUM_SAMPLED, FEW_STEPS, MANY_STEPS = 1024, 1024, 20, 120


class TimedSampler:
    """Replacement of `NegativeSampler.sample` that measures the processor time of its thread.

    Attributes:
        seconds: of every call.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._sample = NegativeSampler.sample

    def install(self) -> None:
        """Replace the method of the class."""
        timed = self

        def sample(sampler: NegativeSampler, raw: pa.RecordBatch, key: int) -> SampledRows:
            start = time.thread_time()
            rows = timed._sample(sampler, raw, key)
            timed.seconds.append(time.thread_time() - start)
            return rows

        NegativeSampler.sample = sample  # type: ignore[method-assign]


def write_items(path: Path, count: int, is_text: bool) -> None:
    """Write a table of items: text ids or numbers, a weight, and the attributes of the config."""
    rng = np.random.default_rng(1)
    prefix, kind = ("adgroup_id_", "string") if is_text else ("", "int64")
    weights = rng.uniform(0.5, 2.0, count).round(3)
    categories = rng.integers(0, 6771, count)
    with path.open("w") as file:
        file.write(f"id:{kind}\tweight:float\tattrs:string\n")
        for i, (weight, category) in enumerate(zip(weights.tolist(), categories.tolist(), strict=True)):
            file.write(f"{prefix}{i}\t{weight}\t{prefix}{i}:{category}:{weight}\n")


def train(folder: Path, num_steps: int) -> float:
    """Train and return the processor time of the whole command."""
    edits: dict[str, Any] = {
        "data_config.batch_size": BATCH,
        "data_config.negative_sampler.num_sample": NUM_SAMPLED,
        "data_config.negative_sampler.input_path": str(folder / "items.txt"),
        "train_config.num_steps": num_steps,
        "train_config.num_epochs": 0,
        "train_config.use_tensorboard": False,
    }
    start = time.process_time()
    words = ["--pipeline_config", CONFIG, "--model_dir", str(folder / f"model_{num_steps}_{start}")]
    words += ["--train_input_path", f"{folder}/data/*.parquet", "--eval_input_path", ""]
    assert train_eval.main([*words, "--edit_config_json", json.dumps(edits)]) == 0
    return time.process_time() - start


def time_conversion(folder: Path, count: int) -> tuple[float, float]:
    """Write a table of a number of items; returns processor time and time of its conversion."""
    write_items(folder / "many.txt", count, is_text=False)
    start, wall = time.process_time(), time.monotonic()
    NodeTable.open(str(folder / "many.txt"), ["adgroup_id", "cate_id", "price"])
    return time.process_time() - start, time.monotonic() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000, help="items to sample from")
    parser.add_argument("--many_items", type=int, default=10_000_000, help="items of the table that is converted")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(load_config(CONFIG), str(folder / "data"), (MANY_STEPS + 10) * BATCH)
        write_items(folder / "items.txt", args.items, is_text=True)
        timed = TimedSampler()
        timed.install()
        train(folder, FEW_STEPS)  # converts the table
        step_ms, sampler_ms = [], []
        for _ in range(args.repeats):
            few, before = train(folder, FEW_STEPS), len(timed.seconds)
            many = train(folder, MANY_STEPS)
            step_ms.append((many - few) / (MANY_STEPS - FEW_STEPS) * 1e3)
            sampler_ms.append(float(np.mean(timed.seconds[before:])) * 1e3)
        cpu_s, wall_s = time_conversion(folder, args.many_items)
    step, sampler = min(step_ms), min(sampler_ms)
    print(f"DSSM, {BATCH} rows and {NUM_SAMPLED} negatives of {args.items:,} items: {step:.1f} ms of processor time "
          f"a step, of which {sampler:.2f} ms sample: {sampler / step:.1%}")  # fmt: skip
    print(f"table of {args.many_items:,} items: converted in {cpu_s:.1f} s of processor time, {wall_s:.1f} s in all")
    figures = {"sampler_ms": sampler, "step_ms": step, "sampler_share": sampler / step, "convert_cpu_s": cpu_s}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
