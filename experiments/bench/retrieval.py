"""Measure training of DSSM with 1,024 sampled negatives, from Parquet, against a plain loop in memory.

    python experiments/bench/retrieval.py        # as in `make bench-retrieval`; three minutes on two cores

Runs are interleaved and figures are medians, so that drift of the machine affects all of them alike. The last line is
JSON.
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

import dssm
from bench import Figures, execute, launch, steady_rate

FOLDER = Path(__file__).parent
STEPS = 80


def plain_rate(precision: str) -> float:
    """Measure the plain loop in samples per second."""
    result = execute(sys.executable, str(FOLDER / "dssm.py"), "--precision", precision, "--steps", str(STEPS))
    return float(json.loads(result.lines[-1][1])["samples_per_s"])


def train_rate(out: Path, precision: str) -> float:
    """Measure training end to end in samples per second."""
    shutil.rmtree(out / "model", ignore_errors=True)
    config = out / "dssm.config"
    config.write_text(dssm.config_text(out, precision))
    return steady_rate(launch(1, "tzrec.train_eval", "--pipeline_config", str(config)), dssm.BATCH)


def measure(repeats: int, precisions: list[str], out: Path) -> Figures:
    """Measure both, interleaved."""
    dssm.write(out, STEPS * dssm.BATCH)
    samples: dict[str, list[float]] = defaultdict(list)
    for repeat, precision in itertools.product(range(repeats), precisions):
        rates = {f"plain_{precision}": plain_rate(precision), f"train_{precision}": train_rate(out, precision)}
        for name, rate in rates.items():
            samples[name].append(rate)
            print(f"[{repeat + 1}/{repeats}] dssm {name} {rate:,.0f}", file=sys.stderr, flush=True)
    figures = {f"dssm_{name}": statistics.median(values) for name, values in samples.items()}
    for precision in precisions:
        rate, plain = figures[f"dssm_train_{precision}"], figures[f"dssm_plain_{precision}"]
        figures[f"dssm_{precision}_ratio"] = rate / plain
        print(f"DSSM {precision}: {rate:,.0f} samples/s from Parquet, {rate / plain:.2f} x plain ({plain:,.0f})")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(args.repeats, args.precisions, Path(folder))))


if __name__ == "__main__":
    main()
