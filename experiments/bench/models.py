"""Measure DLRM from Parquet against a plain loop in memory, and every model against a version with Python loops.

    python experiments/bench/models.py           # as in `make bench-models`; five minutes on two cores
    python experiments/bench/models.py --models mmoe ple --repeats 0

Runs are interleaved and figures are medians, so that drift of the machine affects all of them alike.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from record import record

os.environ["KINETO_LOG_LEVEL"] = "5"  # silence torch's profiler

import criteo
import torch
from bench import Figures, execute, launch, steady_rate
from loop_models import LOOP_MODELS, LoopModel
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tzrec.config.check import load_checked
from tzrec.config.load import load_config
from tzrec.data.batch import Batch
from tzrec.data.synthetic import make_data
from tzrec.models.base import Model, ModelOutput
from tzrec.run.resume import ResumeState
from tzrec.run.session import Session
from tzrec.run.step_sync import sync_step
from tzrec.run.trainer import Trainer

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parents[1]))  # for the custom model in examples/
EXAMPLES = Path("examples/configs")
BATCH, STEPS, ROUNDS = 4096, 10, 5
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise")
"""Matrix products of torch; all attention kernels count as well."""


def plain_dlrm(precision: str) -> Figures:
    """Measure the plain loop."""
    result = execute(sys.executable, str(FOLDER / "plain.py"), "--model", "dlrm", "--precision", precision)
    return {f"plain_{precision}": json.loads(result.lines[-1][1])["samples_per_s"]}


def train_dlrm(config: Path, precision: str) -> Figures:
    """Measure training from Parquet."""
    model_dir = config.parent / "model"
    shutil.rmtree(model_dir, ignore_errors=True)
    edits = json.dumps({"train_config.mixed_precision": {"fp32": "", "bf16": "BF16"}[precision]})
    result = launch(1, "tzrec.train_eval", "--pipeline_config", str(config), "--model_dir", str(model_dir),
                    "--edit_config_json", edits)  # fmt: skip
    return {f"train_{precision}": steady_rate(result, criteo.BATCH)}


def bench_dlrm(repeats: int, out: Path) -> Figures:
    """Measure DLRM end to end from Parquet and the plain loop, interleaved."""
    criteo.write(out / "train", 80 * criteo.BATCH)
    config = out / "dlrm.config"
    config.write_text(criteo.config_text(f"{out}/train/*.parquet", str(out / "model")))
    samples: dict[str, list[float]] = defaultdict(list)
    for repeat, precision in itertools.product(range(repeats), ("fp32", "bf16")):
        for name, value in {**plain_dlrm(precision), **train_dlrm(config, precision)}.items():
            samples[name].append(value)
            print(f"[{repeat + 1}/{repeats}] dlrm {name} {value:,.0f}", file=sys.stderr, flush=True)
    figures = {f"dlrm_{name}": statistics.median(values) for name, values in samples.items()}
    for precision in ("fp32", "bf16"):
        rate, plain = figures[f"dlrm_train_{precision}"], figures[f"dlrm_plain_{precision}"]
        figures[f"dlrm_{precision}_ratio"] = rate / plain
        of_fp32 = figures[f"dlrm_{precision}_over_plain_fp32"] = rate / figures["dlrm_plain_fp32"]
        print(f"DLRM {precision}: {rate:,.0f} samples/s from Parquet, {rate / plain:.2f} x plain in {precision} "
              f"({plain:,.0f}), {of_fp32:.2f} x plain in fp32")  # fmt: skip
    return figures


class ModelBenchmark:
    """Training of a model with its example config, on batches in memory."""

    def __init__(self, name: str, out: Path) -> None:
        path = next(path for data in ("taobao", "criteo") if (path := EXAMPLES / f"{name}_{data}.config").exists())
        make_data(load_config(str(path)), str(out / "data"), 4 * BATCH)
        edits = {
            "train_input_path": f"{out}/data/*.parquet",
            "eval_input_path": "",
            "model_dir": str(out / "model"),
            "data_config.batch_size": BATCH,
            "train_config.use_tensorboard": False,
        }
        self.session = Session.new(load_checked(str(path), edits))
        self.trainer = Trainer(self.session, ResumeState())
        batches = []
        for step in itertools.islice(self.trainer.steps(), 4):
            batches.append(step.batch)
            self.trainer.pipeline.advance()
        self.batches = itertools.cycle(batches)

    def step(self) -> None:
        """Train one step."""
        batch = next(self.batches)
        self.trainer.begin_step()
        losses = self.trainer.compute_losses(batch)
        self.trainer.backward(losses, sync_step(losses, batch.rows, False).loss_weight(batch.rows))
        self.trainer.step()

    def rate(self) -> float:
        """Samples/s of whole steps."""
        return BATCH / statistics.median(seconds(self.step) for _ in range(STEPS))

    def share_of_products(self) -> float:
        """Fraction of the time of all operations that matrix products take."""
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            for _ in range(3):
                self.step()
        times = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
        products = sum(time for key, time in times.items() if key in PRODUCTS or "attention" in key)
        return products / sum(times.values())

    def speedup(self, loop_model: LoopModel) -> float:
        """Time of the loop version, forward and backward, divided by that of the model, on the same values."""
        rec_model = self.session.rec_model
        batch: Batch = next(self.batches)
        grouped = {name: x.detach().requires_grad_() for name, x in rec_model.embedding_group(batch).items()}
        model: Model = rec_model.model

        def run_model() -> list[Tensor]:
            return outputs(model(grouped))

        def run_loops() -> list[Tensor]:
            return loop_model(model, grouped)

        for received, expected in zip(outputs(model.eval()(grouped)), run_loops(), strict=True):
            torch.testing.assert_close(received, expected, rtol=1e-3, atol=1e-4)
        model.train()
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for name, forward in (("model", run_model), ("loops", run_loops)):
                times[name].append(seconds(lambda forward=forward: sum(y.sum() for y in forward()).backward()))
        return statistics.median(times["loops"]) / statistics.median(times["model"])


def outputs(output: ModelOutput) -> list[Tensor]:
    """Logits and auxiliary losses of a model, as the loop version returns them."""
    return [*output.logits.values(), *output.auxiliary_losses.values()]


def seconds(function: Callable[[], object]) -> float:
    """Time a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def bench_models(names: list[str]) -> Figures:
    """Measure models and print a table."""
    figures: Figures = {}
    print(f"{'model':<18} {'samples/s':>10} {'in products':>12} {'x loops':>8}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            bench = ModelBenchmark(name, Path(folder))
            try:
                bench.rate()
                rate, share, ratio = bench.rate(), bench.share_of_products(), bench.speedup(LOOP_MODELS[name])
            finally:
                bench.session.close()
        print(f"{name:<18} {rate:>10,.0f} {share:>12.0%} {ratio:>8.2f}", flush=True)
        figures |= {f"{name}_samples_per_s": rate, f"{name}_in_products": share, f"{name}_x_loops": ratio}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=sorted(LOOP_MODELS), default=sorted(LOOP_MODELS))
    parser.add_argument("--repeats", type=int, default=3, help="rounds of DLRM against the plain loop; 0 for none")
    args = parser.parse_args()
    figures: Figures = {}
    if args.repeats:
        with tempfile.TemporaryDirectory() as folder:
            figures |= bench_dlrm(args.repeats, Path(folder))
    figures |= bench_models(args.models)
    record("models", figures)


if __name__ == "__main__":
    main()
