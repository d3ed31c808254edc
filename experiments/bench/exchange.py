"""Measure training steps on 1, 2, 4 and 8 processes with equal global batches over gloo, and what their exchange costs.

    python experiments/bench/exchange.py         # three minutes on two quiet cores

Each number of ranks is also run without exchange: as many trainings of one rank with the same rows each, side by side.
The share of the exchange is what the steps take longer with it. Bytes are those of the loopback device, in a network
namespace of their own where that is allowed; otherwise the traffic of other programs counts as well.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from bench import CONFIG, Figures, execute

GLOBAL_BATCH = 2048
NUM_RANKS = (1, 2, 4, 8)
WARM_UP = 5
"""Steps at the start that are not measured."""


def measure_exchange(data: Path, out: Path, turns: int = 3, steps: int = 25) -> Figures:
    """Return step times, ratios to one process, shares of the exchange and bytes that a rank sends in a step.

    Args:
        data: directory with the training data of `tzrec.tools.make_taobao` in `train`.
        out: directory for models and results.
        turns: repetitions, of which the median counts.
        steps: measured steps of each run.
    """
    times, sent = defaultdict[str, list[float]](list), defaultdict[int, list[float]](list)
    for _ in range(turns):
        for number in NUM_RANKS:
            seconds, num_bytes = _run(data, out, number, steps, is_joined=True)
            times[f"exchange_step_ms_{number}"].append(1000 * seconds)
            sent[number].append(num_bytes / number)
            if number > 1:
                alone, _ = _run(data, out, number, steps, is_joined=False)
                times[f"without_exchange_step_ms_{number}"].append(1000 * alone)
    figures = {name: statistics.median(values) for name, values in times.items()}
    for number in NUM_RANKS[1:]:
        step = figures[f"exchange_step_ms_{number}"]
        figures[f"exchange_ratio_{number}"] = step / figures["exchange_step_ms_1"]
        figures[f"exchange_share_{number}"] = 1 - figures[f"without_exchange_step_ms_{number}"] / step
        figures[f"exchange_bytes_{number}"] = statistics.median(sent[number])
    return figures


def _run(data: Path, out: Path, number: int, steps: int, is_joined: bool) -> tuple[float, float]:
    """Train on some processes, as ranks of one run or each alone; return seconds and bytes of loopback of a step."""
    model_dir, result = out / "exchange", out / "exchange.json"
    shutil.rmtree(model_dir, ignore_errors=True)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"] if _has_namespaces() else []
    script = [sys.executable, "-W", "ignore", __file__, "--data", str(data), "--out", str(out), "--ranks", str(number)]
    flags = ["--steps", str(steps), "--port", port, *([] if is_joined else ["--alone"])]
    shell = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    subprocess.run([*inside, *script, *flags], check=True, stdout=subprocess.DEVNULL, env=shell)
    values = json.loads(result.read_text())
    return values["seconds"], values["bytes"]


def _has_namespaces() -> bool:
    return os.geteuid() == 0 and bool(shutil.which("unshare")) and bool(shutil.which("ip"))


def launch(args: argparse.Namespace) -> None:
    """Fork the processes of one run, which inherit the imported packages, and wait for them."""
    from tzrec import env

    env.set_openmp_spin()  # before torch is imported
    import tzrec.run.train  # noqa: F401

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(args, rank)) for rank in range(args.ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    codes = [process.exitcode for process in processes]
    if any(codes):
        sys.exit(f"a training on {args.ranks} processes failed: {codes}")


def work(args: argparse.Namespace, rank: int) -> None:
    """Train as one process, and write the median step if it is the first one."""
    from tzrec.checkpoint.position import Position
    from tzrec.config.check import load_checked
    from tzrec.run.listeners import Listener
    from tzrec.run.train import train

    if not args.alone:
        shared = {"WORLD_SIZE": str(args.ranks), "LOCAL_WORLD_SIZE": str(args.ranks), "MASTER_ADDR": "127.0.0.1"}
        os.environ.update(shared, RANK=str(rank), LOCAL_RANK=str(rank), MASTER_PORT=str(args.port))
    steps: list[tuple[float, int]] = []

    class Clock(Listener):
        """Listener that notes the time and the traffic of each step."""

        def on_step(self, position: Position) -> None:
            steps.append((time.perf_counter(), loopback_bytes()))

    changes = {
        "train_config.num_steps": WARM_UP + args.steps + 1,
        "train_config.num_threads": 1,
        "train_config.use_tensorboard": False,
        "data_config.batch_size": GLOBAL_BATCH // args.ranks,
        "data_config.num_workers": 1,
        "train_input_path": f"{args.data}/train/*.parquet",
        "eval_input_path": "",
        "model_dir": str(args.out / "exchange" / (str(rank) if args.alone else "joined")),
    }
    train(load_checked(CONFIG, changes), listeners=[Clock()])
    if rank == 0:
        measured = steps[WARM_UP : WARM_UP + args.steps + 1]
        seconds = statistics.median(after[0] - before[0] for before, after in zip(measured, measured[1:]))
        traffic = (measured[-1][1] - measured[0][1]) / args.steps
        (args.out / "exchange.json").write_text(json.dumps({"seconds": seconds, "bytes": traffic}))


def loopback_bytes() -> int:
    """Return the bytes that the loopback device of this network namespace has sent."""
    match = re.search(r"^ *lo: *(\d+)", Path("/proc/net/dev").read_text(), re.MULTILINE)
    return int(match[1]) if match else 0


def show(figures: Figures) -> None:
    """Print the table."""
    print(f"{'processes':>9}{'ms/step':>10}{'of one':>8}{'exchange':>10}{'bytes/step':>12}")
    print(f"{1:>9}{figures['exchange_step_ms_1']:>10.1f}{1:>8.2f}{0:>10.0%}{0:>12}")
    for number in NUM_RANKS[1:]:
        step, ratio, share, sent = (
            figures[f"exchange_{name}_{number}"] for name in ("step_ms", "ratio", "share", "bytes")
        )
        print(f"{number:>9}{step:>10.1f}{ratio:>8.2f}{share:>10.0%}{sent:>12,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("experiments/bench/out"))
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ranks:
        launch(args)
    else:
        data = args.out / "data_exchange"
        rows = str((WARM_UP + args.steps + 2) * GLOBAL_BATCH)
        execute(sys.executable, "-m", "tzrec.tools.make_taobao", "--out", str(data), "--train_rows", rows,
                "--eval_rows", "2048", "--seed", "7")  # fmt: skip
        figures = measure_exchange(data, args.out, args.turns, args.steps)
        show(figures)
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
