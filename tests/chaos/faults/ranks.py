"""Ranks that die, hang, are told to stop, or lose each other."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.chaos.fault import Outcome, fault
from tests.chaos.launch import (
    line_with,
    log_of,
    newest_step,
    ranks_of,
    start_ranks,
    statuses,
    wait_for,
    wait_for_checkpoint,
)
from tests.chaos.workspace import TRACEBACK, Workspace, checkpoints, different_tensors, outcome, read_tensors

ROWS = 3200


def _config(workspace: Workspace, name: str = "model", timeout_s: int = 8, num_epochs: int = 1) -> Path:
    data = workspace.write_rows("data", [1400, 400, 1400])
    return workspace.write_config(
        name,
        train=data,
        num_rows=ROWS,
        num_epochs=num_epochs,
        batch_size=32,
        save_steps=5,
        keep=3,
        train_more=f"rank_timeout_s: {timeout_s}",
    )


def _survivor_names_killed_rank(workspace: Workspace, victim: int) -> Outcome:
    config, model_dir = _config(workspace), workspace.directory / "model"
    ranks = start_ranks(workspace, config)
    wait_for_checkpoint(model_dir, ranks)
    ranks[victim].kill()
    begin = time.monotonic()
    assert ranks[1 - victim].wait(20) == 1
    seconds = time.monotonic() - begin
    text = log_of(workspace, 1 - victim)
    assert TRACEBACK not in text, text[-3000:]
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
    config, model_dir = _config(workspace), workspace.directory / "model"
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
    config, model_dir = _config(workspace), workspace.directory / "model"
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
    calm = _config(workspace, "calm")
    workspace.train(calm, ranks=2).assert_succeeded()
    config, model_dir, step, codes = _config(workspace), workspace.directory / "model", 0, list[int]()
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
