"""Measure training, evaluation and prediction against a plain loop in the same run.

    python experiments/bench/bench.py            # as in `make bench`; about ten minutes on two cores

Every figure is the median over `--repeats` rounds of interleaved runs, so that drift of the machine affects all of them
alike.
Training rates are end to end from Parquet, the median over intervals of ten steps after the first twenty.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from record import record

FOLDER = Path(__file__).parent
CONFIG = "examples/configs/mmoe_taobao.config"
BATCH = 8192
MFLOP_PER_SAMPLE = 6.05
"""Operations of the dense layers: two per multiply-add, backward twice as many as forward."""

Figures = dict[str, float]


@dataclass(frozen=True)
class CommandResult:
    """Result of a command.

    Attributes:
        lines: printed lines with the seconds since its start.
        peak_rss_gb: peak memory.
        cpu_s: processor time.
    """

    lines: list[tuple[float, str]]
    peak_rss_gb: float
    cpu_s: float

    def find(self, pattern: str) -> list[tuple[float, re.Match[str]]]:
        """Search all lines; returns seconds and match of those that match."""
        return [(seconds, match) for seconds, line in self.lines if (match := re.search(pattern, line))]


def execute(*command: str) -> CommandResult:
    """Run a command; if it fails, print its output and exit."""
    start, lines = time.perf_counter(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.perf_counter() - start, line.rstrip()))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("\n".join([f"failed: {' '.join(command)}", *(line for _, line in lines)]))
    return CommandResult(lines, usage.ru_maxrss * 1024 / 1e9, usage.ru_utime + usage.ru_stime)


def launch(ranks: int, module: str, *flags: str) -> CommandResult:
    """Run a module in one process, or under torchrun in several."""
    python = [sys.executable, "-m"]
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"] if ranks > 1 else []
    return execute(*python, *torchrun, module, *flags)


def plain(precision: str) -> Figures:
    """Measure the plain loop."""
    result = execute(sys.executable, str(FOLDER / "plain.py"), "--precision", precision)
    return {f"plain_{precision}": json.loads(result.lines[-1][1])["samples_per_s"]}


def gemm() -> Figures:
    """Measure the limit that the rate of matrix products sets."""
    result = execute(sys.executable, str(FOLDER / "gemm.py"))
    return {
        f"limit_{name}": rate * 1e9 / (MFLOP_PER_SAMPLE * 1e6) for name, rate in json.loads(result.lines[-1][1]).items()
    }


def train(data: Path, out: Path, precision: str, ranks: int) -> Figures:
    """Measure training from Parquet."""
    model_dir = out / f"{precision}_{ranks}"
    shutil.rmtree(model_dir, ignore_errors=True)
    edits = {
        "train_config.mixed_precision": {"fp32": "", "bf16": "BF16"}[precision],
        "train_config.log_step_count_steps": 10,
        "data_config.batch_size": BATCH,
        "train_input_path": f"{data}/train/*.parquet",
    }
    result = launch(ranks, "tzrec.train_eval", "--pipeline_config", CONFIG, "--model_dir", str(model_dir),
                    "--eval_input_path", "", "--edit_config_json", json.dumps(edits))  # fmt: skip
    name = f"train_{precision}" + (f"_{ranks}_ranks" if ranks > 1 else "")
    figures = {name: steady_rate(result, BATCH * ranks)}
    if ranks == 1:
        figures |= {
            f"first_step_s_{precision}": trained_steps(result)[0][0],
            f"peak_rss_gb_{precision}": result.peak_rss_gb,
        }
    return figures


def trained_steps(result: CommandResult) -> list[tuple[float, int]]:
    """Steps of the log lines of a training, with the seconds since its start."""
    return [
        (seconds, int(match[1].replace(",", "")))
        for seconds, match in result.find(r"^train +([\d,]+)(?:/[\d,]+)? steps")
    ]


def steady_rate(result: CommandResult, rows_per_step: int) -> float:
    """Samples/s of a training: the median over intervals of ten steps after the first twenty."""
    steps = [(seconds, step) for seconds, step in trained_steps(result) if step > 20]
    return statistics.median((s2 - s1) * rows_per_step / (t2 - t1) for (t1, s1), (t2, s2) in itertools.pairwise(steps))


def checkpoint(data: Path, out: Path) -> Figures:
    """Measure how long the loop waits for checkpoints; the last one of a run copies nothing and is left out."""
    model_dir = out / "checkpoint"
    shutil.rmtree(model_dir, ignore_errors=True)
    edits = {
        "train_config.num_steps": 100,
        "train_config.save_checkpoints_steps": 30,
        "data_config.batch_size": BATCH,
        "train_input_path": f"{data}/train/*.parquet",
    }
    result = launch(1, "tzrec.train_eval", "--pipeline_config", CONFIG, "--model_dir", str(model_dir),
                    "--eval_input_path", "", "--edit_config_json", json.dumps(edits))  # fmt: skip
    stalls = [float(match[1]) for _, match in result.find(r"the loop waited ([\d.]+) s")][:-1]
    return {
        "checkpoint_stall_s": statistics.median(stalls),
        "checkpoint_worst_stall_s": max(stalls),
        "peak_rss_gb_with_saves": result.peak_rss_gb,
    }


def rate(result: CommandResult) -> float:
    """Rows/s of the last log line of a command, e.g. 61,200 of `(200,000 rows, 61.2k/s)`."""
    _, match = result.find(r"rows, ([\d.]+)([kM]?)/s\)")[-1]
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]


def evaluate(data: Path, out: Path) -> Figures:
    """Measure evaluation."""
    result = launch(1, "tzrec.eval", "--pipeline_config", str(out / "fp32_1" / "pipeline.config"),
                    "--eval_input_path", f"{data}/train/*.parquet")  # fmt: skip
    return {"eval": rate(result), "eval_peak_rss_gb": result.peak_rss_gb}


def export(out: Path) -> None:
    """Export the trained model."""
    shutil.rmtree(out / "export", ignore_errors=True)
    launch(1, "tzrec.export", "--pipeline_config", str(out / "fp32_1" / "pipeline.config"),
           "--export_dir", str(out / "export"))  # fmt: skip


def predict(data: Path, out: Path) -> Figures:
    """Measure prediction with the package."""
    shutil.rmtree(out / "scores", ignore_errors=True)
    result = launch(1, "tzrec.predict", "--model_path", str(out / "export"), "--predict_input_path",
                    f"{data}/train/*.parquet", "--predict_output_path", str(out / "scores"))  # fmt: skip
    return {"predict": rate(result), "predict_peak_rss_gb": result.peak_rss_gb}


def summary(figures: Figures) -> Figures:
    """The figures that have a target, and their ratios to the plain loop of the same run."""
    return {
        "train_fp32_ratio": figures["train_fp32"] / figures["plain_fp32"],
        "train_bf16_ratio": figures["train_bf16"] / figures["plain_bf16"],
        "eval_ratio": figures["eval"] / figures["plain_fp32"],
        "predict_ratio": figures["predict"] / figures["plain_fp32"],
        "first_step_s": figures["first_step_s_fp32"],
        "checkpoint_stall_s": figures["checkpoint_stall_s"],
        "peak_rss_gb": figures["peak_rss_gb_fp32"],
    }


def show(figures: Figures, ratios: Figures) -> None:
    """Print the table."""

    def line(label: str, value: float, unit: str, note: str = "") -> None:
        number = f"{value:,.0f}" if value > 100 else f"{value:.2f}"
        print(f"  {label:<36} {number:>8} {unit:<10} {note}".rstrip())

    for precision in ("fp32", "bf16"):
        print(precision.upper())
        line("plain loop in memory, one process", figures[f"plain_{precision}"], "samples/s")
        ratio = ratios[f"train_{precision}_ratio"]
        line("train from Parquet, 1 rank", figures[f"train_{precision}"], "samples/s", f"{ratio:.2f} x plain")
        line("train from Parquet, 2 ranks", figures[f"train_{precision}_2_ranks"], "samples/s")
        line("limit of matrix products", figures[f"limit_{precision}"], "samples/s")
    print("FP32, one rank")
    line("eval", figures["eval"], "samples/s", f"{ratios['eval_ratio']:.2f} x plain training")
    line("predict from the package", figures["predict"], "samples/s", f"{ratios['predict_ratio']:.2f} x plain training")
    line("command to first step", ratios["first_step_s"], "s")
    worst = f"worst {figures['checkpoint_worst_stall_s']:.2f} s"
    line("checkpoint stalls the loop for", ratios["checkpoint_stall_s"], "s", worst)
    saving = f"{figures['peak_rss_gb_with_saves']:.2f} GB while a checkpoint is written"
    line("peak memory", ratios["peak_rss_gb"], "GB", saving)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100 * BATCH, help="training rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("experiments/bench/out"))
    args = parser.parse_args()

    data = args.out / "data"
    execute(sys.executable, "-m", "tzrec.tools.make_taobao", "--out", str(data), "--train_rows", str(args.rows),
            "--eval_rows", "8192", "--seed", "7")  # fmt: skip
    measurements: list[Callable[[], Figures]] = [
        gemm,
        lambda: plain("fp32"),
        lambda: train(data, args.out, "fp32", 1),
        lambda: plain("bf16"),
        lambda: train(data, args.out, "bf16", 1),
        lambda: train(data, args.out, "fp32", 2),
        lambda: train(data, args.out, "bf16", 2),
        lambda: checkpoint(data, args.out),
        lambda: evaluate(data, args.out),
        lambda: predict(data, args.out),
    ]
    samples: dict[str, list[float]] = defaultdict(list)
    for repeat in range(args.repeats):
        for measurement in measurements:
            if repeat == 0 and measurement is measurements[-1]:
                export(args.out)
            for name, value in measurement().items():
                samples[name].append(value)
                print(f"[{repeat + 1}/{args.repeats}] {name} {value:,.2f}", file=sys.stderr, flush=True)
    figures = {name: statistics.median(values) for name, values in samples.items()}
    ratios = summary(figures)
    show(figures, ratios)
    record("bench", {**ratios, **figures})


if __name__ == "__main__":
    main()
