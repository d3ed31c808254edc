"""Two hosts whose connection breaks, as two network namespaces with a cable between them; needs root on Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

from tests.chaos.fault import Outcome, fault
from tests.chaos.faults.ranks import ROWS, rank_config
from tests.chaos.launch import line_with, log_of, newest_step, start_ranks, statuses, wait_for_checkpoint
from tests.chaos.workspace import TRACEBACK, Workspace, outcome

ADDRESS = "10.77.0.1"
SKIPPED = "not injected: network namespaces need root and the program ip"


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Create two network namespaces with a cable `cable` between them; yield their names, or two empty ones."""
    names = f"chaos-a-{os.getpid()}", f"chaos-b-{os.getpid()}"
    if os.geteuid() != 0 or not shutil.which("ip") or _ip("netns", "add", names[0]):
        yield "", ""
        return
    try:
        _ip("netns", "add", names[1])
        cable = ("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        assert _ip(*cable) == 0
        for number, name in enumerate(names, 1):
            _ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            _ip("netns", "del", name)


def _ip(*words: str) -> int:
    return subprocess.run(["ip", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def _inside(names: tuple[str, str]) -> list[list[str]]:
    return [["ip", "netns", "exec", name] for name in names]


@fault("the cable between two hosts is pulled, and put back later")
def pulled_cable(workspace: Workspace) -> Outcome:
    with two_hosts() as hosts:
        if not hosts[0]:
            return Outcome(message=SKIPPED)
        config, model_dir = rank_config(workspace), workspace.directory / "model"
        variables = {"MASTER_ADDR": ADDRESS, "GLOO_SOCKET_IFNAME": "cable", "LOCAL_WORLD_SIZE": "1"}
        ranks = start_ranks(workspace, config, env=variables, wrappers=_inside(hosts))
        wait_for_checkpoint(model_dir, ranks)
        _ip("-n", hosts[0], "link", "set", "cable", "down")
        begin = time.monotonic()
        assert statuses(ranks, 40) == [1, 1], log_of(workspace, 1)[-3000:]
        seconds = time.monotonic() - begin
        for rank in range(2):
            assert TRACEBACK not in log_of(workspace, rank), log_of(workspace, rank)[-3000:]
        line = line_with(log_of(workspace, 0), "rank 0: rank 1 (host ", "has not arrived at", "out of reach")
        line_with(log_of(workspace, 1), "rank 1: rank 0 (host ", "out of reach")
        step = newest_step(model_dir)
        _ip("-n", hosts[0], "link", "set", "cable", "up")
        again = start_ranks(workspace, config, "--continue_train", env=variables, wrappers=_inside(hosts))
        assert statuses(again, 60) == [0, 0], log_of(workspace, 0)[-3000:]
        line_with(log_of(workspace, 0), "resuming from", f"model.ckpt-{step}")
        return outcome(model_dir, ROWS, message=f"both ended after {seconds:.1f} s: {line}")


@fault("two hosts whose names resolve to loopback addresses")
def loopback_names(workspace: Workspace) -> Outcome:
    """Without GLOO_SOCKET_IFNAME gloo listens where the host name points to, which the other host cannot reach."""
    with two_hosts() as hosts:
        if not hosts[0]:
            return Outcome(message=SKIPPED)
        config, model_dir = rank_config(workspace, timeout_s=18), workspace.directory / "model"
        variables = {"MASTER_ADDR": ADDRESS, "LOCAL_WORLD_SIZE": "1", "GLOO_SOCKET_IFNAME": "lo"}
        ranks = start_ranks(workspace, config, env=variables, wrappers=_inside(hosts))
        codes = statuses(ranks, 90)
        assert 0 not in codes, log_of(workspace, 0)[-3000:]
        line = line_with(log_of(workspace, 0), "waiting for 15 s: all ranks met at 10.77.0.1", "GLOO_SOCKET_IFNAME=")
        variables["GLOO_SOCKET_IFNAME"] = "cable"
        again = start_ranks(workspace, config, "--continue_train", env=variables, wrappers=_inside(hosts))
        assert statuses(again, 60) == [0, 0], log_of(workspace, 0)[-3000:]
        return outcome(model_dir, ROWS, message=line)


@fault("MASTER_ADDR is out of reach for rank 1")
def wrong_address(workspace: Workspace) -> Outcome:
    """The name of the host of rank 0 stands for a loopback address on the other host."""
    with two_hosts() as hosts:
        if not hosts[0]:
            return Outcome(message=SKIPPED)
        config = rank_config(workspace, timeout_s=5)
        ranks = start_ranks(workspace, config, env={"MASTER_ADDR": "127.0.0.1"}, wrappers=_inside(hosts))
        assert statuses(ranks, 60) == [1, 1], log_of(workspace, 1)[-3000:]
        text = log_of(workspace, 1)
        assert TRACEBACK not in text, text[-3000:]
        line = line_with(text, "waiting for 15 s: 127.0.0.1:", "does not accept connections", "Connection refused")
        line_with(text, "gave up waiting: 127.0.0.1:", "--local-addr")
        return Outcome(message=line)
