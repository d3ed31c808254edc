"""Measure training beside busy processes and under a CPU quota, as shares of what it could have.

    python experiments/bench/neighbours.py       # as in `make bench-neighbours`; three minutes on two cores

One training runs per setting of OpenMP's spin, while busy processes start and stop beside it in turns. Every figure is
the median over the turns. A busy process takes half of one core from the training; what is left of all cores, times the
rate without neighbours, is the fair share. The quota needs root and a cgroup hierarchy that can be written.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import CONFIG, Figures, execute
from record import record

BATCH = 2048
SETTLING_S = 1.0
"""Seconds after each change that are not measured."""
NUM_NEIGHBOURS = (0, 1, 2)
SPINS = {
    "short": {},
    "openmp_default": {"GOMP_SPINCOUNT": "300000"},
    "none": {"OMP_WAIT_POLICY": "passive"},
}
"""Setting of OpenMP's spin -> variables of the shell; `short` is what tzrec sets itself."""
LABEL = {"short": "short spin, as tzrec sets it", "openmp_default": "default of OpenMP", "none": "no spin"}
OPENMP_VARIABLES = ("OMP_", "GOMP_", "KMP_")
CGROUPS = Path("/sys/fs/cgroup")


class Training:
    """A training in a process of its own, which runs until `stop`.

    Args:
        data: directory of the training data.
        model_dir: directory of the model.
        variables: environment variables to add.
        cgroup: directory of the cgroup to run in.
        edits: further changes to the config.
    """

    def __init__(
        self,
        data: Path,
        model_dir: Path,
        variables: Mapping[str, str],
        cgroup: Path | None = None,
        edits: Mapping[str, object] | None = None,
    ) -> None:
        changes = {
            "train_config.num_steps": 1_000_000,
            "train_config.log_step_count_steps": 1,
            "train_config.save_checkpoints_steps": 1_000_000,
            "train_config.use_tensorboard": False,
            "data_config.batch_size": BATCH,
            "train_input_path": f"{data}/train/*.parquet",
            **(edits or {}),
        }
        command = [sys.executable, "-m", "tzrec", "train", "--pipeline_config", CONFIG, "--model_dir", str(model_dir),
                   "--eval_input_path", "", "--edit_config_json", json.dumps(changes)]  # fmt: skip
        enter = f"echo $$ > {cgroup}/cgroup.procs && " if cgroup else ""
        shell = {name: value for name, value in os.environ.items() if not name.startswith(OPENMP_VARIABLES)}
        self._lines: list[str] = []
        self._steps: list[tuple[float, int]] = []
        self._process = subprocess.Popen(
            ["bash", "-c", f'{enter}exec "$@"', "bash", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**shell, **variables},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        while not self._steps:
            if self._process.poll() is not None:
                sys.exit("\n".join(["the training failed:", *self._lines]))
            time.sleep(0.1)

    @property
    def settings(self) -> str:
        """The line of the log that names the threads."""
        return next(line for line in self._lines if line.startswith("cpu "))

    def rate(self, seconds: float) -> float:
        """Measure samples/s for some seconds after the settling time."""
        time.sleep(SETTLING_S)
        first, begin = self._steps[-1][1], time.perf_counter()
        time.sleep(seconds)
        return (self._steps[-1][1] - first) * BATCH / (time.perf_counter() - begin)

    def stop(self) -> None:
        """End the process; nothing is saved."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            if match := re.match(r"train +([\d,]+)/[\d,]+ steps", line):
                self._steps.append((time.perf_counter(), int(match[1].replace(",", ""))))


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Keep some processes busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def create_quota_group() -> Path | None:
    """Create a cgroup whose processes may use one core's worth of time; None where that is not possible."""
    is_first_version = (CGROUPS / "cpu" / "tasks").exists()
    group = CGROUPS / ("cpu" if is_first_version else "") / f"tzrec-bench-{os.getpid()}"
    name, quota = ("cpu.cfs_quota_us", "100000") if is_first_version else ("cpu.max", "100000 100000")
    try:
        group.mkdir()
        (group / name).write_text(quota)
    except OSError:
        return None
    return group


def beside_neighbours(data: Path, out: Path, turns: int, seconds: float) -> Figures:
    """Measure samples/s for each spin and each number of busy processes."""
    figures: Figures = {}
    for spin, variables in SPINS.items():
        training = Training(data, out / "neighbours" / spin, variables)
        print(training.settings, file=sys.stderr, flush=True)
        rates = defaultdict(list)
        for _ in range(turns):
            for number in NUM_NEIGHBOURS:
                with busy_processes(number):
                    rates[number].append(training.rate(seconds))
        training.stop()
        figures |= {f"{spin}_{number}": statistics.median(rates[number]) for number in NUM_NEIGHBOURS}
    return figures


def under_quota(data: Path, out: Path, turns: int, seconds: float) -> Figures:
    """Measure samples/s under a quota of one core and, without a quota, with one thread."""
    group = create_quota_group()
    if group is None:
        print("no quota measured: it needs root and a cgroup hierarchy that can be written", file=sys.stderr)
        return {}
    cases = {"quota_1": (group, {}), "one_thread": (None, {"train_config.num_threads": 1})}
    rates = defaultdict(list)
    for _ in range(turns):
        for name, (cgroup, edits) in cases.items():
            training = Training(data, out / "neighbours" / name, {}, cgroup, edits)
            print(training.settings, file=sys.stderr, flush=True)
            rates[name].append(training.rate(seconds))
            training.stop()
    group.rmdir()
    return {name: statistics.median(values) for name, values in rates.items()}


def fair_share(number: int) -> float:
    """Return the share of all cores that is left beside busy processes, each of which halves one core."""
    return 1 - number / (2 * len(os.sched_getaffinity(0)))


def summary(figures: Figures) -> Figures:
    """Return the shares: of the fair rate beside neighbours, and of one thread under the quota."""
    shares = {
        f"{spin}_share_{number}": figures[f"{spin}_{number}"] / (figures[f"{spin}_0"] * fair_share(number))
        for spin in SPINS
        for number in NUM_NEIGHBOURS[1:]
    }
    if "quota_1" in figures:
        shares["quota_share"] = figures["quota_1"] / figures["one_thread"]
    return shares


def show(figures: Figures, shares: Figures) -> None:
    """Print the table."""
    print(f"{'samples/s':<30}" + "".join(f"{f'beside {number}':>20}" for number in NUM_NEIGHBOURS))
    for spin in SPINS:
        cells = [f"{figures[f'{spin}_0']:,.0f}"]
        for number in NUM_NEIGHBOURS[1:]:
            cells.append(f"{figures[f'{spin}_{number}']:,.0f} ({shares[f'{spin}_share_{number}']:.2f} fair)")
        print(f"{LABEL[spin]:<30}" + "".join(f"{cell:>20}" for cell in cells))
    if "quota_1" in figures:
        note = f"{figures['one_thread']:,.0f} with one thread, share {shares['quota_share']:.2f}"
        print(f"{'under a quota of one core':<30}{figures['quota_1']:>20,.0f}   ({note})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    parser.add_argument("--out", type=Path, default=Path("experiments/bench/out"))
    args = parser.parse_args()

    data = args.out / "data_neighbours"
    execute(sys.executable, "-m", "tzrec.tools.make_taobao", "--out", str(data), "--train_rows", str(400 * BATCH),
            "--eval_rows", "2048", "--seed", "7")  # fmt: skip
    begin = time.perf_counter()
    figures = beside_neighbours(data, args.out, args.turns, args.seconds)
    figures |= under_quota(data, args.out, args.turns, 2 * args.seconds)
    shares = summary(figures)
    show(figures, shares)
    print(f"measured in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    record("neighbours", {**shares, **figures})


if __name__ == "__main__":
    main()
