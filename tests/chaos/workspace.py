"""Workspace of a fault: small data with unique row ids, a config that counts the trainings of each row, and processes.

The table of `row_id` is updated by Adagrad with each gradient clipped to `CLIP`, which is far below any gradient of the
loss. So each training of a row adds `CLIP` squared to its accumulator, and a checkpoint holds the number of trainings.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tests.chaos.fault import Outcome
from tests.fixtures.row_counts import CLIP, CONFIG

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parents[2]
# marks the processes of a workspace, so that `stop_processes_of` finds those that a launcher left behind
MARK = "CHAOS_WORKSPACE"
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class ProcessResult:
    """End of a process.

    Attributes:
        status: exit status; negative for the number of a signal.
        output: its standard output and error together.
        seconds: from its start to its end.
    """

    status: int
    output: str
    seconds: float

    @property
    def has_traceback(self) -> bool:
        return TRACEBACK in self.output

    @property
    def last_line(self) -> str:
        return self.line_with("")

    def line_with(self, text: str) -> str:
        """Return the last line that contains a text, or an empty string."""
        return next((line.strip() for line in reversed(self.output.splitlines()) if line.strip() and text in line), "")

    def assert_refused(self, *texts: str) -> str:
        """Assert a failure without a traceback whose message contains all texts; return the line with the first."""
        assert self.status not in (0, None) and not self.has_traceback, self.output[-3000:]
        for text in texts:
            assert text in self.output, f"{text!r} is not in:\n{self.output[-3000:]}"
        return self.line_with(texts[0]) if texts else self.last_line

    def assert_succeeded(self) -> ProcessResult:
        assert self.status == 0 and not self.has_traceback, self.output[-3000:]
        return self


class Workspace:
    """Directory of a fault with the processes that it starts.

    Attributes:
        directory: empty at the start; removed at the end.
        random: generator seeded by the name of the directory, for moments and places.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.random = random.Random(directory.name)

    def write_rows(self, name: str, sizes: Sequence[int], kind: str = "parquet", first: int = 0) -> str:
        """Write files of rows with consecutive ids; return the glob of them."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        for part, size in enumerate(sizes):
            table = rows(size, first)
            first += size
            path = directory / f"part-{part:03}.{kind}"
            if kind == "parquet":
                pq.write_table(table, path, row_group_size=200)
            else:
                pyarrow.csv.write_csv(table, path)
        return f"{directory}/*.{kind}"

    def write_config(self, name: str = "model", edit: Mapping[str, Any] | None = None, **values: Any) -> Path:
        """Write the config of a run whose model_dir is `name`; `values` as in `tests.fixtures.row_counts.CONFIG`.

        Args:
            edit: texts of the config and what replaces them.
        """
        text = CONFIG.format(**({"model_dir": self.directory / name, "train": "", "eval": ""} | DEFAULTS | values))
        for old, new in (edit or {}).items():
            assert old in text, old
            text = text.replace(old, str(new))
        path = self.directory / f"{name}.config"
        path.write_text(text)
        return path

    def start(
        self,
        command: Sequence[str | Path],
        ranks: int = 1,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        torchrun: Sequence[str] = (),
        wrapper: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Start `tzrec COMMAND` in a process group of its own.

        Args:
            command: name of a command of tzrec and its flags.
            ranks: number of ranks; from two on they are started by torchrun.
            env: additional environment variables.
            log: file to which the output is appended; default: `.output` of the process is a pipe.
            torchrun: flags of torchrun that replace `--standalone`.
            wrapper: command in front, as `ip netns exec NAME`.
        """
        launcher = [sys.executable, "-m"]
        if ranks > 1 or torchrun:
            launcher += ["torch.distributed.run", f"--nproc-per-node={ranks}", "--master-addr=127.0.0.1"]
            launcher += [*(torchrun or ["--standalone"]), "-m"]
        output: int | IO[bytes] = log.open("ab") if log else subprocess.PIPE
        return subprocess.Popen(
            [*wrapper, *launcher, "tzrec", *map(str, command)],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env=self.environment | dict(env or {}),
            start_new_session=True,
        )

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """Environment of the processes: one thread each, and the mark of this workspace."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", MARK: str(self.directory)}

    def run(self, command: Sequence[str | Path], limit_s: float = 60, **more: Any) -> ProcessResult:
        """Run `tzrec COMMAND` to its end, at most `limit_s` seconds; `more` as in `start`."""
        begin = time.monotonic()
        process = self.start(command, **more)
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            kill_group(process)
            output, _ = process.communicate()
            raise AssertionError(f"no end within {limit_s} s:\n{output.decode(errors='replace')[-3000:]}") from None
        return ProcessResult(process.returncode, output.decode(errors="replace"), time.monotonic() - begin)

    def train(self, config: Path, *flags: str, **more: Any) -> ProcessResult:
        """Run `tzrec train` on a config; `more` as in `run`."""
        return self.run(["train", "--pipeline_config", config, *flags], **more)

    def start_train(self, config: Path, *flags: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start `tzrec train` on a config; `more` as in `start`."""
        return self.start(["train", "--pipeline_config", config, *flags], **more)

    def train_killed_at(self, config: Path, is_moment: Callable[[], bool], *flags: str, **more: Any) -> bool:
        """Train, and kill -9 the whole group as soon as a condition holds; return False if the run ended before."""
        more.setdefault("log", self.directory / "killed.log")
        process = self.start_train(config, *flags, **more)
        while process.poll() is None:
            if is_moment():
                kill_group(process)
                process.wait()
                return True
            time.sleep(0.001)
        assert process.returncode == 0, more["log"].read_text()[-3000:]
        return False


# values of `CONFIG` where a fault does not name others
DEFAULTS = {
    "dataset": "ParquetDataset",
    "batch_size": 64,
    "num_workers": 1,
    "shuffle": "true",
    "num_rows": 2000,
    "num_epochs": 1,
    "save_steps": 5,
    "keep": 0,
    "train_more": "",
    "data_more": "",
    "features_more": "",
    "deep_more": "",
}


def rows(size: int, first: int = 0) -> pa.Table:
    """Return rows with the ids `first` to `first + size - 1`; the same id always has the same values."""
    ids = np.arange(first, first + size)
    user, category = ids * 7919 % 300, ids * 104729 % 40
    price = np.round(10 + 8 * np.sin(ids * 0.7), 3)
    clicked = np.sin(user) + np.cos(category) - 0.02 * price + np.sin(ids * 12.9898) > 0
    return pa.table(
        {
            "row_id": ids,
            "user": user,
            "cate": [f"c{number}" for number in category],
            "price": price,
            "clk": clicked.astype(np.int64),
        }
    )


def stop_processes_of(directory: Path) -> None:
    """Kill all processes that carry the mark of a workspace, also those that their launcher left behind."""
    mark = f"{MARK}={directory}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:  # ended meanwhile, or of another user
            continue


def kill_group(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the process group of a process."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def checkpoints(model_dir: Path) -> list[Path]:
    """Return the published checkpoints by step."""
    paths = [path for path in model_dir.glob("model.ckpt-*") if path.name.removeprefix("model.ckpt-").isdigit()]
    return sorted(paths, key=lambda path: int(path.name.removeprefix("model.ckpt-")))


def read_tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a checkpoint with the reader of torch, without tzrec."""
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    tensors: dict[str, torch.Tensor] = {}
    for part in sorted(path for path in checkpoint.iterdir() if path.is_dir()):
        reader = dcp.FileSystemReader(part)
        stored = reader.read_metadata().state_dict_metadata
        values = {
            name: torch.empty(item.size, dtype=item.properties.dtype)
            for name, item in stored.items()
            if isinstance(item, TensorStorageMetadata)
        }
        dcp.load(values, storage_reader=reader, no_dist=True)
        tensors |= {f"{part.name}/{name}": value for name, value in values.items()}
    return tensors


def different_tensors(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the names of tensors that only one side has, or that are not equal to the bit."""
    import torch

    missing = sorted(a.keys() ^ b.keys())
    return missing + [name for name in sorted(a.keys() & b.keys()) if not _same_bits(torch, a[name], b[name])]


def _same_bits(torch: Any, a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


def trained_times(tensors: Mapping[str, torch.Tensor]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return how often each row id was trained, (num_rows,)."""
    names = [name for name in tensors if name.startswith("optimizer/") and "wide" in name and "row_id" in name]
    assert len(names) == 1, list(tensors)
    accumulator = tensors[names[0]].double()
    exact = accumulator.reshape(accumulator.shape[0], -1)[:, 0].numpy() / CLIP**2
    times = np.rint(exact).astype(np.int64)
    assert np.abs(exact - times).max() < 1e-3, exact
    return times


def outcome(model_dir: Path, num_rows: int, num_epochs: int = 1, message: str = "") -> Outcome:
    """Count lost and repeated rows in the last checkpoint of a run over rows 0 to `num_rows - 1`."""
    times = trained_times(read_tensors(checkpoints(model_dir)[-1]))[:num_rows]
    lost, repeated = np.clip(num_epochs - times, 0, None).sum(), np.clip(times - num_epochs, 0, None).sum()
    return Outcome(int(lost), int(repeated), message)
