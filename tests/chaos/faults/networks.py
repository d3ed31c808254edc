"""Two hosts whose connection breaks, as two network namespaces with a cable between them; needs root on Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.fault import Outcome, fault
from tests.chaos.faults.ranks import ELASTIC, ROWS, rank_config
from tests.chaos.launch import line_with, log_of, newest_step, start_ranks, statuses, wait_for, wait_for_checkpoint
from tests.chaos.workspace import TRACEBACK, Workspace, outcome

ADDRESS = "10.77.0.1"
TCP_RETRIES = 5
SKIPPED = "not injected: network namespaces need root and the program ip"


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """Create two network namespaces with a cable `cable` between them; yield their names, or two empty ones."""
    _delete_leftovers()
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
            # by default TCP waits for 15 minutes for a host out of reach, and so does an agent of torchrun
            _ip("netns", "exec", name, "sh", "-c", f"echo {TCP_RETRIES} > /proc/sys/net/ipv4/tcp_retries2")
        yield names
    finally:
        for name in names:
            _ip("netns", "del", name)


def _delete_leftovers() -> None:
    """Delete the namespaces of faults that were killed before they could do so."""
    directory = Path("/run/netns")
    for path in directory.glob("chaos-*") if directory.is_dir() else ():
        if not Path(f"/proc/{path.name.rpartition('-')[2]}").exists():
            _ip("netns", "del", path.name)


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


class Agents:
    """Agents of torchrun on two hosts, each with one rank.

    Args:
        workspace: for the logs `agentN.log`.
        hosts: names of the namespaces.
        config: of the training.
        flags: of both agents, besides those of the rendezvous.
    """

    def __init__(self, workspace: Workspace, hosts: tuple[str, str], config: Path, *flags: str) -> None:
        self._workspace, self._hosts, self._config, self._flags = workspace, hosts, config, flags

    def start(self, host: int, log: str) -> subprocess.Popen[bytes]:
        """Start the agent of host 0, which holds the rendezvous, or of host 1."""
        # without is_host no agent opens the store: both addresses of the cable are foreign to the name of the host
        conf = f"is_host={1 - host},join_timeout=60,last_call_timeout=4"
        torchrun = ["--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESS}:29400", "--rdzv-id=x", f"--rdzv-conf={conf}"]
        return self._workspace.start_train(
            self._config,
            "--continue_train",
            torchrun=[*torchrun, f"--local-addr=10.77.0.{host + 1}", *self._flags],
            log=self._workspace.directory / log,
            env=ELASTIC | {"GLOO_SOCKET_IFNAME": "cable"},
            wrapper=_inside(self._hosts)[host],
        )


@fault("the cable between two agents of torchrun is pulled, and put back later", limit_s=240)
def pulled_cable_of_agents(workspace: Workspace) -> Outcome:
    with two_hosts() as hosts:
        if not hosts[0]:
            return Outcome(message=SKIPPED)
        config, model_dir = rank_config(workspace, num_epochs=4), workspace.directory / "model"
        agents = Agents(workspace, hosts, config, "--nnodes=2", "--max-restarts=0")
        both = [agents.start(host, f"agent{host}.log") for host in range(2)]
        wait_for_checkpoint(model_dir, both, limit_s=90)
        _ip("-n", hosts[0], "link", "set", "cable", "down")
        begin = time.monotonic()
        codes = statuses(both, 8 + 15)  # the time-out of the ranks, and the time in which the agents notice
        seconds = time.monotonic() - begin
        texts = [(workspace.directory / f"agent{host}.log").read_text() for host in range(2)]
        assert 0 not in codes, texts[1][-3000:]
        # ranks are numbered by the rendezvous, and the store is held by the agent of rank 0
        lines = [line_with(text, "(host ", "out of reach", "--continue_train") for text in texts]
        assert all("rank" in line for line in lines)
        _ip("-n", hosts[0], "link", "set", "cable", "up")
        again = [agents.start(host, f"again{host}.log") for host in range(2)]
        assert statuses(again, 120) == [0, 0], (workspace.directory / "again0.log").read_text()[-3000:]
        return outcome(model_dir, ROWS, 4, message=f"both agents ended after {seconds:.1f} s: {lines[0]}")


@fault("the cable to a node of --nnodes 1:2 is pulled, and the node joins again later", times=2, limit_s=400)
def elastic_hosts(workspace: Workspace) -> Outcome:
    with two_hosts() as hosts:
        if not hosts[0]:
            return Outcome(message=SKIPPED)
        # many steps, in which no gradient may become smaller than its bound: trained rows are counted by it
        rates = {"lr: 0.05 ": "lr: 0.0001 ", "lr: 0.005 ": "lr: 0.00001 "}
        config = rank_config(workspace, num_epochs=12, batch_size=16, edit=rates)
        model_dir = workspace.directory / "model"
        agents = Agents(workspace, hosts, config, "--nnodes=1:2", "--max-restarts=5")
        log = workspace.directory / "first.log"
        first = agents.start(0, "first.log")
        wait_for_checkpoint(model_dir, [first], limit_s=90)  # alone
        second = agents.start(1, "second.log")
        wait_for(lambda: log.read_text().count("ranks  2;"), 60, "two nodes")
        step = wait_for_checkpoint(model_dir, [first], after=newest_step(model_dir), limit_s=60)
        _ip("-n", hosts[0], "link", "set", "cable", "down")
        begin = time.monotonic()
        assert second.wait(8 + 15) != 0
        seconds = time.monotonic() - begin
        step = wait_for_checkpoint(model_dir, [first], after=max(step, newest_step(model_dir)), limit_s=90)
        _ip("-n", hosts[0], "link", "set", "cable", "up")
        third = agents.start(1, "third.log")
        wait_for(lambda: log.read_text().count("ranks  2;") > 1, 90, "two nodes again")
        assert statuses([first, third], 120) == [0, 0], log.read_text()[-3000:]
        message = f"the node ended after {seconds:.1f} s, the other one went on alone to step {step} and with it again"
        return outcome(model_dir, ROWS, 12, message=message)


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
