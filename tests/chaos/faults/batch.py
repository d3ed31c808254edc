"""Batch prediction and `tzrec fg` that are killed, out of space, or started again with another model."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, stop_processes_of

SIZES = [400, 1, 700, 30, 600, 269]
NUM_ROWS = sum(SIZES)


def _predict(workspace: Workspace, config: Path, out: Path, *flags: str) -> list[str]:
    command = ["predict", "--pipeline_config", str(config), "--batch_size", "4", "--reserved_columns", "row_id"]
    return [
        *command,
        "--predict_input_path",
        f"{workspace.directory}/data/*.parquet",
        "--predict_output_path",
        str(out),
        *flags,
    ]


def _trained(workspace: Workspace) -> Path:
    """Train a model on rows with ids in files of unequal sizes; returns its config."""
    data = workspace.write_rows("data", SIZES)
    config = workspace.write_config(train=data, num_rows=NUM_ROWS)
    workspace.train(config).assert_succeeded()
    return config


def _killed_at_parts(workspace: Workspace, command: Sequence[str], parts: Path, num_parts: int, ranks: int) -> None:
    """Start a command, and kill all of its processes when so many files of parts exist."""
    process = workspace.start(command, ranks, log=workspace.directory / "killed.log")
    while len(list(parts.glob("part-*"))) < num_parts:
        assert process.poll() is None, (workspace.directory / "killed.log").read_text()[-3000:]
        time.sleep(0.001)
    stop_processes_of(workspace.directory)
    process.wait()


def _counted(folder: Path, column: str, message: str) -> Outcome:
    """Count how often each row is in the output."""
    values = [value for path in folder.glob("part-*") for value in pq.read_table(path)[column].to_pylist()]
    times = np.bincount(np.array(values), minlength=NUM_ROWS)
    return Outcome(int((times == 0).sum()), int(np.clip(times - 1, 0, None).sum()), message)


@fault("kill -9 of predict, started again with another number of ranks", times=2)
def kill_while_predicting(workspace: Workspace) -> Outcome:
    config, out = _trained(workspace), workspace.directory / "scores"
    draft = workspace.directory / "scores.partial"
    _killed_at_parts(workspace, _predict(workspace, config, out), draft, workspace.random.randint(1, 2), ranks=1)
    _killed_at_parts(workspace, _predict(workspace, config, out), draft, workspace.random.randint(3, 4), ranks=2)
    assert not out.exists()
    result = workspace.run(_predict(workspace, config, out)).assert_succeeded()
    workspace.run(_predict(workspace, config, workspace.directory / "calm")).assert_succeeded()
    for path in (workspace.directory / "calm").glob("part-*"):
        assert pq.read_table(path).equals(pq.read_table(out / path.name))
    return _counted(out, "row_id", result.line_with("are already finished"))


@fault("kill -9 of fg on two ranks, started again on one")
def kill_while_encoding(workspace: Workspace) -> Outcome:
    data = workspace.write_rows("data", SIZES)
    config = workspace.write_config(train=data, num_rows=NUM_ROWS)
    out = workspace.directory / "encoded"
    command = ["fg", "--pipeline_config", str(config), "--output_path", str(out)]
    command += ["--processes", "1", "--batch_size", "1"]
    _killed_at_parts(workspace, command, out / "train", 2, ranks=2)
    result = workspace.run(command).assert_succeeded()
    rows = pq.read_table(out / "train")
    assert rows.num_rows == NUM_ROWS and (out / "pipeline.config").exists()
    lost = set(range(NUM_ROWS)) - {ids[0] for ids in rows["row_id"].to_pylist()}
    return Outcome(len(lost), 0, result.line_with("are already finished"))


@fault("disk full when predict publishes a part: goes on once there is space")
def disk_full_while_predicting(workspace: Workspace) -> Outcome:
    config, disk = _trained(workspace), workspace.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)], check=True)
    try:
        stopped = workspace.run(_predict(workspace, config, disk / "scores"))
        message = stopped.assert_refused(
            f"--predict_output_path {disk}/scores: ", "No space left on device", "parts are finished and kept"
        )
        assert not list((disk / "scores.partial").glob(".*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=4M", str(disk)], check=True)
        workspace.run(_predict(workspace, config, disk / "scores")).assert_succeeded()
        return _counted(disk / "scores", "row_id", message)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@fault("another checkpoint when predict is started again: starts afresh and says so")
def other_model_at_restart(workspace: Workspace) -> Outcome:
    config, out = _trained(workspace), workspace.directory / "scores"
    last, earlier = checkpoints(workspace.directory / "model")[-1], checkpoints(workspace.directory / "model")[0]
    command = [*_predict(workspace, config, out), "--checkpoint_path"]
    _killed_at_parts(workspace, [*command, str(earlier)], workspace.directory / "scores.partial", 2, ranks=1)
    result = workspace.run([*command, str(last)]).assert_succeeded()
    calm = workspace.directory / "calm"
    workspace.run([*_predict(workspace, config, calm), "--checkpoint_path", str(last)]).assert_succeeded()
    for path in calm.glob("part-*"):
        assert pq.read_table(path).equals(pq.read_table(out / path.name))
    return _counted(out, "row_id", result.line_with("with another package or checkpoint; starting afresh"))
