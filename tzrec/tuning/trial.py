"""TrialRun: a trial as a process of its own, which trains in a model directory of its own."""

from __future__ import annotations

import ctypes
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tzrec import env
from tzrec.checkpoint.store import RESULTS, read_results
from tzrec.config.load import dump_config
from tzrec.data.atomic import write_text
from tzrec.errors import escape_controls, shorten_middle
from tzrec.protos.pipeline_pb2 import EasyRecConfig

COMMAND = (sys.executable, "-m", "tzrec.train_eval")
CONFIG = "trial.config"
LOG = "train.log"
_NUM_LOG_BYTES = 100_000
_COUNT = re.compile(r"\d+ problems?\. Nothing was started\.")
"""Last line of an error that lists the problems of a config."""
_PARENT_DEATH_SIGNAL = 1
"""Option of prctl(2): the signal that a process gets when its parent ends."""
_LIBC = ctypes.CDLL(None)


class TrialRun:
    """Process that trains one trial.

    Args:
        directory: model directory of the trial.
        config: of the trial; its `model_dir` is the directory.
        cores: cores that the process may use.
        gpu: number of the GPU that it may use; "" for all.
    """

    def __init__(self, directory: Path, config: EasyRecConfig, cores: Sequence[int], gpu: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / CONFIG, dump_config(config))
        self.directory = directory
        self._config = config
        self._started_at = time.monotonic()
        flags = ["--pipeline_config", str(directory / CONFIG), "--continue_train"]
        with (directory / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env.child_environment(gpu),
                start_new_session=True,  # Ctrl-C is for the study, which stops its trials
                preexec_fn=_end_with_parent,
            )
        if cores:
            os.sched_setaffinity(self._process.pid, cores)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started_at

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_stopped(self) -> bool:
        """True if the process has ended by SIGTERM, or after it had saved because of it."""
        return self._process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)

    def stop(self) -> None:
        """Ask the process to save and end."""
        if not self.has_ended():
            self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def evaluations(self, metric: str) -> list[float]:
        """Return the values of a metric so far; NaN where it is undefined."""
        return evaluations(self.directory, metric)

    def failure(self) -> str:
        """Describe why the process failed; "" if it completed."""
        status = self._process.returncode
        if status == 0:
            return ""
        if -status == signal.SIGKILL:
            return "killed by SIGKILL: most often there was not enough memory"
        if status < 0:
            return f"ended by {signal.Signals(-status).name}; see {self.directory / LOG}"
        return last_error(self.directory / LOG) or f"exit status {status}"


def evaluations(directory: Path, metric: str) -> list[float]:
    """Return the values of a metric in the evaluations of a model directory; NaN where it is undefined."""
    values = [line.get(metric) for line in read_results(directory / RESULTS)]
    return [math.nan if value is None else float(value) for value in values]


def final_value(directory: Path, config: EasyRecConfig, metric: str) -> float:
    """Return the metric of the checkpoint that an export selects: the last one, or the best one by its own metric."""
    export = config.export_config
    results = read_results(directory / RESULTS)
    if not results:
        return math.nan
    chosen = results[-1]
    if export.exporter_type == "best":
        sign = 1 if export.metric_larger_is_better else -1
        scored = [line for line in results if line.get(export.best_exporter_metric) is not None]
        chosen = max(scored, key=lambda line: sign * line[export.best_exporter_metric], default=chosen)
    value = chosen.get(metric)
    return math.nan if value is None else float(value)


def last_error(path: Path) -> str:
    """Return the last entry of a log, without further lines, which are indented, and without a count of problems."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _NUM_LOG_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
    starts = [line for line in lines if line.strip() and not line[0].isspace() and not _COUNT.fullmatch(line)]
    return shorten_middle(escape_controls(starts[-1])) if starts else ""


def _end_with_parent() -> None:
    """Let the kernel stop this process when its parent ends, even by SIGKILL; runs between fork and exec."""
    _LIBC.prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
