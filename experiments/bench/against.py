"""Compare training from Parquet with that of another commit, interleaved.

    git worktree add --detach /tmp/before 9e7970e
    (cd /tmp/before && python setup.py --quiet proto)
    python experiments/bench/against.py /tmp/before

Of each commit, model and precision: samples/s, the median over intervals of ten steps after the first twenty, of the
median round; and the processor time of a step with reading, the least of the rounds, from runs of two lengths. The
latter is also of use beside other processes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import criteo
from bench import BATCH, CommandResult, execute, steady_rate

FEW_STEPS = 25


def train(checkout: Path, config: str, edits: dict[str, object], model_dir: Path) -> CommandResult:
    """Train with the code of a checkout."""
    shutil.rmtree(model_dir, ignore_errors=True)
    return execute("env", "-C", str(checkout), f"PYTHONPATH={checkout}", sys.executable, "-m", "tzrec.train_eval",
                   "--pipeline_config", config, "--model_dir", str(model_dir), "--eval_input_path", "",
                   "--edit_config_json", json.dumps(edits))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="checkout of the other commit, with compiled protos")
    parser.add_argument("--models", nargs="*", choices=("dlrm", "mmoe"), default=("dlrm", "mmoe"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--threads", type=int, default=0, help="num_threads; by default that of the config")
    args = parser.parse_args()
    checkouts = {"before": args.before.resolve(), "after": Path(__file__).parents[2].resolve()}
    rates: dict[tuple[str, ...], list[float]] = defaultdict(list)
    cpu_ms: dict[tuple[str, ...], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        configs = {"dlrm": str(out / "dlrm.config"), "mmoe": "examples/configs/mmoe_taobao.config"}
        inputs = {"dlrm": f"{out}/criteo/*.parquet", "mmoe": f"{out}/taobao/train/*.parquet"}
        criteo.write(out / "criteo", args.steps * BATCH)
        Path(configs["dlrm"]).write_text(criteo.config_text(inputs["dlrm"], str(out / "model")))
        execute(sys.executable, "-m", "tzrec.tools.make_taobao", "--out", str(out / "taobao"), "--train_rows",
                str(args.steps * BATCH), "--eval_rows", "8192", "--seed", "7")  # fmt: skip
        for _, model, precision, name in itertools.product(
            range(args.repeats), args.models, ("fp32", "bf16"), checkouts
        ):
            edits: dict[str, object] = {
                "train_config.mixed_precision": {"fp32": "", "bf16": "BF16"}[precision],
                "train_config.log_step_count_steps": 10,
                **({"train_config.num_threads": args.threads} if args.threads else {}),
                "data_config.batch_size": BATCH,
                "train_input_path": inputs[model],
            }
            run = train(checkouts[name], configs[model], edits, out / "model")
            short = {**edits, "train_config.num_epochs": 0, "train_config.num_steps": FEW_STEPS}
            few = train(checkouts[name], configs[model], short, out / "model")
            rate, ms = steady_rate(run, BATCH), (run.cpu_s - few.cpu_s) / (args.steps - FEW_STEPS) * 1e3
            rates[model, precision, name].append(rate)
            cpu_ms[model, precision, name].append(ms)
            print(f"{model} {precision} {name} {rate:,.0f} samples/s, {ms:.1f} ms of processor time", file=sys.stderr)
    figures = {}
    for model, precision in itertools.product(args.models, ("fp32", "bf16")):
        old, new = (statistics.median(rates[model, precision, name]) for name in checkouts)
        old_ms, new_ms = (min(cpu_ms[model, precision, name]) for name in checkouts)
        print(f"{model} {precision}: {old:,.0f} -> {new:,.0f} samples/s, x {new / old:.2f}; "
              f"{old_ms:.1f} -> {new_ms:.1f} ms of processor time per step, x {old_ms / new_ms:.2f}")  # fmt: skip
        figures |= {f"{model}_{precision}_x": new / old, f"{model}_{precision}_cpu_x": old_ms / new_ms}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
