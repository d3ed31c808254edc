"""Limits of a container, busy neighbours, and another processor at the next start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch

import tzrec
from tests.chaos.cgroup import cgroup
from tests.chaos.fault import Outcome, fault
from tests.chaos.workspace import Workspace, checkpoints, different_tensors, outcome, read_tensors
from tzrec.run.matmul import Backend, Processor, use_backend

FIXED = "num_threads: 1 cpu_matmul: MATMUL_DEFAULT"
NOT_INJECTED = "not injected: it needs root and cgroups that can be written"
CORES = len(os.sched_getaffinity(0))


def _config(workspace: Workspace, name: str, num_rows: int, edit: str = "", **values: object) -> Path:
    """Write a config without the fixed number of threads and matrix library."""
    data = workspace.write_rows("data", [num_rows])
    return workspace.write_config(name, {FIXED: edit}, train=data, num_rows=num_rows, **values)


def _saved_cpu(model_dir: Path) -> dict[str, str]:
    settings: dict[str, str] = json.loads((checkpoints(model_dir)[-1] / "manifest.json").read_text())["cpu"]
    return settings


@fault("CPU quota of one core from the second start on", limit_s=100)
def quota_at_resume(workspace: Workspace) -> Outcome:
    config, model_dir = _config(workspace, "model", 2000), workspace.directory / "model"
    assert workspace.train_killed_at(config, lambda: len(checkpoints(model_dir)) > 1)
    assert _saved_cpu(model_dir)["threads"] == str(CORES)
    with cgroup("cpu", "100000") as wrapper:
        if wrapper is None:
            return Outcome(message=NOT_INJECTED)
        result = workspace.train(config, "--continue_train", wrapper=wrapper).assert_succeeded()
    assert "1 thread/rank (CPU quota of 1 cores)" in result.output or CORES == 1, result.output
    message = result.line_with(f"trained with {CORES} threads/rank, this run has 1")
    assert message or CORES == 1, result.output
    assert _saved_cpu(model_dir)["threads"] == "1"
    return outcome(model_dir, 2000, message=message)


@fault("memory limit below the size of the tables")
def memory_limit_below_tables(workspace: Workspace) -> Outcome:
    table = 'feature_configs { id_feature { feature_name: "big" expression: "item:row_id" num_buckets: 4000000 '
    config = _config(workspace, "model", 2000, features_more=f"{table} embedding_dim: 32 }} }}", deep_more=', "big"')
    with cgroup("memory", str(900 << 20)) as wrapper:
        if wrapper is None:
            return Outcome(message=NOT_INJECTED)
        result = workspace.train(config, wrapper=wrapper)
    message = result.assert_refused("the embedding tables need 1.", "free")
    assert checkpoints(workspace.directory / "model") == []
    return Outcome(message=message)


@fault("memory limit that a copy of the state would exceed")
def memory_limit_below_copy(workspace: Workspace) -> Outcome:
    """The state is 1.0 GB with its optimizer; a run takes 0.5 GB more, and a copy of the state would exceed 2.2 GB."""
    table = 'feature_configs { id_feature { feature_name: "big" expression: "item:row_id" num_buckets: 4000000 '
    config = _config(
        workspace, "model", 640, features_more=f"{table} embedding_dim: 32 }} }}", deep_more=', "big"',
        save_steps=6, keep=1, edit="num_threads: 1", train_more="",
    )  # fmt: skip
    with cgroup("memory", str(2200 << 20)) as wrapper:
        if wrapper is None:
            return Outcome(message=NOT_INJECTED)
        result = workspace.train(config, wrapper=wrapper, limit_s=110).assert_succeeded()
    return outcome(workspace.directory / "model", 640, message=result.line_with("save  "))


@contextmanager
def _restored_cpu() -> Iterator[None]:
    """Restore the threads and the matrix library of this process, in which other tests follow."""
    num_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
        use_backend(Backend.DEFAULT)


@fault("busy processes beside one of two runs with one seed", short=True)
@_restored_cpu()
def busy_neighbours(workspace: Workspace) -> Outcome:
    calm = tzrec.train(_config(workspace, "calm", 640, save_steps=50))
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
    try:
        busy = tzrec.train(_config(workspace, "busy", 640, save_steps=50))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert _saved_cpu(calm.model_dir) == _saved_cpu(busy.model_dir)
    expected, received = (read_tensors(checkpoints(run.model_dir)[-1]) for run in (calm, busy))
    assert different_tensors(expected, received) == []
    return outcome(busy.model_dir, 640, message=f"equal to the bit, {_saved_cpu(busy.model_dir)['fp32_matmul']}")


@fault("another processor at the second start", times=2, short=True)
@_restored_cpu()
def another_processor(workspace: Workspace) -> Outcome:
    """Each of two processors, one of which the table gives oneDNN, resumes a run of the other."""
    processors = (
        Processor("AuthenticAMD", "25", "17", "A", "AVX-512"),
        Processor("GenuineIntel", "6", "85", "B", "AVX2"),
    )
    for first, second in (processors, reversed(processors)):
        config = _config(workspace, first.name, 640, save_steps=5, edit="num_threads: 1")
        with mock.patch.object(Processor, "read", return_value=first):
            run = tzrec.train(config, edit={"train_config.num_steps": 6})
            assert _saved_cpu(run.model_dir)["fp32_matmul"] == first.backend.value
        with mock.patch.object(Processor, "read", return_value=second):
            run = tzrec.train(config, edit={"train_config.num_steps": 10}, continue_train=True)
        kept = _saved_cpu(run.model_dir)
        assert kept == {"fp32_matmul": first.backend.value, "processor": str(second), "threads": "1"}
    assert {processor.backend for processor in processors} == set(Backend)
    return outcome(run.model_dir, 640, message=f"{kept['fp32_matmul']} kept on {kept['processor']}")


@fault("variables of OpenMP in the shell", times=3)
def openmp_variables(workspace: Workspace) -> Outcome:
    """The shell decides and the log says so; without such variables the config does."""
    without = ["env", "-u", "OMP_WAIT_POLICY", "-u", "GOMP_SPINCOUNT"]
    config = _config(workspace, "model", 640, train_more="openmp_spin_count: 2500")
    message = ""
    for number, (variables, said) in enumerate(
        (
            (["OMP_WAIT_POLICY=active"], "OpenMP waits as the shell says (OMP_WAIT_POLICY=active)"),
            (["GOMP_SPINCOUNT=77"], "OpenMP waits as the shell says (GOMP_SPINCOUNT=77)"),
            ([], "OpenMP spins 2,500 rounds"),
        )
    ):
        model_dir = workspace.directory / f"model{number}"
        result = workspace.train(config, "--model_dir", str(model_dir), wrapper=[*without, *variables])
        message = result.assert_succeeded().line_with(said)
        assert message, result.output
    return outcome(model_dir, 640, message=message)
