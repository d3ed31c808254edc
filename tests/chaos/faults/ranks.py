"""Ranks that die, hang, are told to stop, or lose each other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.fault import Outcome, fault
from tests.chaos.launch import (
    free_port,
    line_with,
    log_of,
    newest_step,
    ranks_of,
    start_ranks,
    statuses,
    wait_for,
    wait_for_checkpoint,
    wait_for_port,
)
from tests.chaos.programs import failing_rank, repeated_runs
from tests.chaos.workspace import (
    TRACEBACK,
    Workspace,
    checkpoints,
    different_tensors,
    kill_group,
    outcome,
    read_tensors,
)

ROWS = 3200
# otherwise the agents of torch keep the address of the store of an earlier round, and a new node waits for it in vain
ELASTIC = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def rank_config(
    workspace: Workspace,
    name: str = "model",
    timeout_s: int = 8,
    num_epochs: int = 1,
    batch_size: int = 32,
    edit: Mapping[str, str] | None = None,
) -> Path:
    """Write a config of a run whose epochs take fifty steps on two ranks by default; `edit` as in `write_config`."""
    data = workspace.write_rows("data", [1400, 400, 1400])
    return workspace.write_config(
        name,
        train=data,
        num_rows=ROWS,
        num_epochs=num_epochs,
        batch_size=batch_size,
        save_steps=5,
        keep=3,
        train_more=f"rank_timeout_s: {timeout_s}",
        edit=edit,
    )


def _survivor_names_killed_rank(workspace: Workspace, victim: int) -> Outcome:
    config, model_dir = rank_config(workspace), workspace.directory / "model"
    ranks = start_ranks(workspace, config)
    wait_for_checkpoint(model_dir, ranks)
    ranks[victim].kill()
    begin = time.monotonic()
    assert ranks[1 - victim].wait(20) == 1
    seconds = time.monotonic() - begin
    text = log_of(workspace, 1 - victim)
    assert TRACEBACK not in text and "frame #" not in text, text[-3000:]
    line = line_with(text, f"rank {victim} (host ", f"process {ranks[victim].pid}", "is gone")
    again = start_ranks(workspace, config, "--continue_train")
    assert statuses(again, 60) == [0, 0], log_of(workspace, 0)[-3000:]
    return outcome(model_dir, ROWS, message=f"after {seconds:.1f} s: {line}")


@fault("kill -9 of rank 1 of 2 without an agent")
def killed_rank_1(workspace: Workspace) -> Outcome:
    return _survivor_names_killed_rank(workspace, 1)


@fault("kill -9 of rank 0 of 2, which holds the store, without an agent")
def killed_rank_0(workspace: Workspace) -> Outcome:
    return _survivor_names_killed_rank(workspace, 0)


@fault("SIGSTOP of rank 1 of 2 without an agent")
def stopped_rank(workspace: Workspace) -> Outcome:
    config, model_dir = rank_config(workspace), workspace.directory / "model"
    ranks = start_ranks(workspace, config)
    wait_for_checkpoint(model_dir, ranks)
    ranks[1].send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    assert ranks[0].wait(25) == 1
    seconds = time.monotonic() - begin
    text = log_of(workspace, 0)
    assert TRACEBACK not in text, text[-3000:]
    line_with(text, "warning rank 0: rank 1 ", "has not arrived at", "for 4 s", "The run ends after 8 s")
    line = line_with(text, "rank 0: rank 1 ", f"process {ranks[1].pid}", "has not arrived at", "stopped", "Start all")
    ranks[1].send_signal(signal.SIGCONT)
    assert ranks[1].wait(20) == 1
    assert TRACEBACK not in log_of(workspace, 1)
    again = start_ranks(workspace, config, "--continue_train")
    assert statuses(again, 60) == [0, 0], log_of(workspace, 0)[-3000:]
    return outcome(model_dir, ROWS, message=f"after {seconds:.1f} s: {line}")


def _restarted(workspace: Workspace, victim: int) -> Outcome:
    config, model_dir = rank_config(workspace), workspace.directory / "model"
    log, step = workspace.directory / "agent.log", 0
    agent = workspace.start_train(
        config, "--continue_train", ranks=2, torchrun=["--standalone", "--max-restarts=2"], log=log
    )
    for _ in range(2):
        step = wait_for_checkpoint(model_dir, [agent], after=step)
        pid = ranks_of(agent)[victim]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 20, "the end of the killed rank")  # type: ignore[misc]
    assert agent.wait(90) == 0, log.read_text()[-3000:]
    text = log.read_text()
    assert text.count("is gone: it was killed") >= 1, text[-3000:]
    return outcome(model_dir, ROWS, message="two restarts, each from the last checkpoint")


@fault("kill -9 of rank 1, twice, under torchrun --max-restarts=2", times=2)
def restarted_rank_1(workspace: Workspace) -> Outcome:
    return _restarted(workspace, 1)


@fault("kill -9 of rank 0, twice, under torchrun --max-restarts=2", times=2)
def restarted_rank_0(workspace: Workspace) -> Outcome:
    return _restarted(workspace, 0)


def _stopped_by_signals(workspace: Workspace, number: signal.Signals, target: str) -> Outcome:
    """Stop a run of two ranks twice, continue it, and compare it to one that was never stopped."""
    calm = rank_config(workspace, "calm")
    workspace.train(calm, ranks=2).assert_succeeded()
    config, model_dir, step, codes = rank_config(workspace), workspace.directory / "model", 0, list[int]()
    for attempt in range(3):
        log = workspace.directory / f"agent{attempt}.log"
        step = newest_step(model_dir)
        agent = workspace.start_train(config, "--continue_train", ranks=2, log=log)
        if attempt < 2:
            wait_for_checkpoint(model_dir, [agent], after=step)
            time.sleep(workspace.random.random() * 0.1)
            if target == "rank 1":
                os.kill(ranks_of(agent)[1], number)
            elif target == "group":
                os.killpg(agent.pid, number)
            else:
                agent.send_signal(number)
        codes.append(agent.wait(60))
        assert (codes[-1] == 0) == (attempt == 2), log.read_text()[-3000:]
    expected = read_tensors(checkpoints(workspace.directory / "calm")[-1])
    assert different_tensors(expected, read_tensors(checkpoints(model_dir)[-1])) == []
    return outcome(model_dir, ROWS, message=f"saved and left twice; the end equals that of a calm run ({codes})")


@fault("SIGTERM to torchrun with two ranks, twice", times=2)
def terminated_agent(workspace: Workspace) -> Outcome:
    return _stopped_by_signals(workspace, signal.SIGTERM, "agent")


@fault("SIGTERM to rank 1 of 2 alone, twice", times=2)
def terminated_rank(workspace: Workspace) -> Outcome:
    return _stopped_by_signals(workspace, signal.SIGTERM, "rank 1")


@fault("SIGINT to the group of torchrun and two ranks, twice", times=2)
def interrupted_group(workspace: Workspace) -> Outcome:
    return _stopped_by_signals(workspace, signal.SIGINT, "group")


@fault("an error of rank 1 alone, without an agent")
def failed_rank(workspace: Workspace) -> Outcome:
    config, model_dir = rank_config(workspace), workspace.directory / "model"
    ranks = start_ranks(workspace, config, env={"FAIL_AT_STEP": "12"}, program=Path(failing_rank.__file__))
    assert statuses(ranks, 60) == [1, 1], log_of(workspace, 0)[-3000:]
    text = log_of(workspace, 0)
    assert TRACEBACK not in text, text[-3000:]
    line = line_with(text, f"rank 1 (host {socket.gethostname()}, process {ranks[1].pid}) ended with an error: Data")
    again = start_ranks(workspace, config, "--continue_train")
    assert statuses(again, 60) == [0, 0], log_of(workspace, 0)[-3000:]
    return outcome(model_dir, ROWS, message=line)


@fault("several runs in the same two processes, one of which fails")
def several_runs(workspace: Workspace) -> Outcome:
    config = rank_config(workspace)
    ranks = start_ranks(workspace, config, program=Path(repeated_runs.__file__))
    assert statuses(ranks, 100) == [0, 0], log_of(workspace, 0) + log_of(workspace, 1)
    line = line_with(log_of(workspace, 0), "failed as it should")
    return outcome(workspace.directory / "model", ROWS, message=line)


@fault("rank 1 of 2 is never started")
def missing_rank(workspace: Workspace) -> Outcome:
    config = rank_config(workspace, timeout_s=5)
    address = {"WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
    (rank,) = start_ranks(workspace, config, env=address, wrappers=[()])
    assert rank.wait(60) == 1
    text = log_of(workspace, 0)
    assert TRACEBACK not in text, text[-3000:]
    line = line_with(text, "waiting for 15 s: rank 1 of 2 did not join at 127.0.0.1:", "--local-addr")
    line_with(text, "gave up waiting: rank 1 of 2 did not join", "train_config.rank_timeout_s")
    return Outcome(message=line)


@fault("a node of --nnodes 1:2 is lost, and another one joins", times=2, limit_s=200)
def elastic_nodes(workspace: Workspace) -> Outcome:
    config, model_dir = rank_config(workspace, num_epochs=12), workspace.directory / "model"
    port = free_port()
    torchrun = ["--nnodes=1:2", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=x"]
    torchrun += ["--max-restarts=5", "--rdzv-conf=join_timeout=60,last_call_timeout=8", "--local-addr=127.0.0.1"]

    def node(name: str) -> subprocess.Popen[bytes]:
        log = workspace.directory / f"{name}.log"
        return workspace.start_train(config, "--continue_train", torchrun=torchrun, log=log, env=ELASTIC)

    first = node("first")
    wait_for_port(port)
    second = node("second")
    wait_for(lambda: "ranks  2;" in (workspace.directory / "first.log").read_text(), 60, "two nodes")
    step = wait_for_checkpoint(model_dir, [first], after=newest_step(model_dir))
    kill_group(second)  # an agent puts its ranks into sessions of their own
    for pid in ranks_of(second).values():
        os.kill(pid, signal.SIGKILL)
    step = wait_for_checkpoint(model_dir, [first], after=max(step, newest_step(model_dir)), limit_s=90)
    third = node("third")
    assert statuses([first, third], 100) == [0, 0], (workspace.directory / "first.log").read_text()[-3000:]
    text = (workspace.directory / "first.log").read_text()
    return outcome(
        model_dir, ROWS, 12, message=f"went on alone after step {step}; {text.count('ranks  2;')} starts of 2"
    )
