"""Meeting of the ranks at the start of a run: they find each other in the store, and say what they wait for.

Keys of an earlier attempt may still be in the store: of a run before in the same processes, or before the agent of
torchrun restarted them. So each run takes a new name, and a rank accepts it only when rank 0 has answered this very
process: rank 0 proposes the name, the others sign it, and rank 0 publishes the list of signatures.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch.distributed as dist

from tzrec import env
from tzrec.distributed.processes import namespace, start_time
from tzrec.env import RankInfo, StoreAddress
from tzrec.errors import SetupError, TrainingError, first_line
from tzrec.log import logger

NOTICE_AFTER_S = 15.0
_NOTICE_EVERY_S = 60.0
_GRACE_S = 20.0
"""Added to the time-out at the start: another rank may wait so long in a run before, in the same process."""
_POLL_S = 0.05
_CONNECT_S = 3.0
_HINT = (
    "Usual causes: a rank was not started or has ended; MASTER_ADDR and MASTER_PORT differ between hosts; a firewall. "
    "Where the name of a host resolves to a loopback address (127.x.x.x), pass torchrun --local-addr=<address of this "
    "host> and set GLOO_SOCKET_IFNAME=<network interface> on every host"
)

_stores: dict[tuple[StoreAddress, int, int], dist.TCPStore] = {}
"""Connections of this process, kept until it ends: rank 0 may hold the store, which the others still read."""


@dataclass(frozen=True)
class Member:
    """Rank of a run, as it introduces itself to the others.

    Attributes:
        rank: number of the rank.
        host: name of its machine.
        process: its process id.
        namespace: identity of the process table in which that id counts.
        started: start of the process, in ticks since the start of the machine; an id may be used again.
        address: address at which gloo listens, as far as is known.
        signature: unique for each start of a run.
    """

    rank: int
    host: str
    process: int
    namespace: str
    started: str
    address: str
    signature: str

    def __str__(self) -> str:
        return f"rank {self.rank} (host {self.host}, process {self.process})"


@dataclass(frozen=True)
class Meeting:
    """Result of a meeting.

    Attributes:
        store: the store under the name of this run.
        own_store: another connection to it, for a thread: an operation that waits blocks its connection.
        members: all ranks in order.
        address: of the store.
    """

    store: dist.Store
    own_store: dist.Store
    members: list[Member]
    address: StoreAddress


class WaitNotice:
    """Context manager whose thread logs what a start waits for: after 15 s, then every minute.

    Attributes:
        text: returns what this rank waits for now.
    """

    def __init__(self) -> None:
        self.text: Callable[[], str] = str
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ranks-notice", daemon=True)
        self._start = time.monotonic()

    def __enter__(self) -> WaitNotice:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        delay = NOTICE_AFTER_S
        while not self._done.wait(delay):
            delay = _NOTICE_EVERY_S
            logger.warning("waiting for %.0f s: %s. %s", time.monotonic() - self._start, self.text(), _HINT)


def meet(rank_info: RankInfo, timeout_s: float, notice: WaitNotice) -> Meeting:
    """Agree with all ranks on a new name in the store.

    Raises:
        SetupError: rank 0 cannot open the store.
        TrainingError: the store or a rank did not appear within the time.
    """
    address, deadline = env.store_address(), time.monotonic() + timeout_s + _GRACE_S
    notice.text = lambda: f"rank {rank_info.rank} opens the store at {address}"
    key = (address, rank_info.rank, rank_info.world_size)
    if key not in _stores:
        _stores[key] = _open(address, rank_info, deadline, notice)
    store = _stores[key]
    store.set_timeout(timedelta(seconds=timeout_s))
    me = _introduce(rank_info.rank)
    agree = _lead if rank_info.is_main else _follow
    name, members = agree(store, me, rank_info.world_size, _Waiting(address, deadline, notice))
    other = store.clone()  # type: ignore[attr-defined]
    return Meeting(dist.PrefixStore(name, store), dist.PrefixStore(name, other), members, address)


def connecting_text(meeting: Meeting) -> str:
    """Describe the wait for the connections between all pairs of ranks."""
    addresses = ", ".join(f"rank {member.rank} at {member.address}" for member in meeting.members)
    return f"all ranks met at {meeting.address}; now they connect to each other: {addresses}"


@dataclass(frozen=True)
class _Waiting:
    """Bounds of a wait, and its notice."""

    address: StoreAddress
    deadline: float
    notice: WaitNotice

    def until(self, condition: Callable[[], bool], text: Callable[[], str]) -> None:
        """Poll a condition.

        Raises:
            TrainingError: it was not fulfilled before the deadline.
        """
        self.notice.text = text
        while not condition():
            if time.monotonic() > self.deadline:
                raise TrainingError(f"gave up waiting: {text()} (train_config.rank_timeout_s). {_HINT}.")
            time.sleep(_POLL_S)


def _open(address: StoreAddress, rank_info: RankInfo, deadline: float, notice: WaitNotice) -> dist.TCPStore:
    """Connect to the store, which the agent of torchrun or rank 0 holds."""
    is_holder = rank_info.is_main and not address.is_held_by_agent
    waiting = _Waiting(address, deadline, notice)
    if not is_holder:
        # torch retries as well, but silently at first and then with a stack trace
        reason = [""]
        waiting.until(lambda: _is_open(address, reason), lambda: f"{address} does not accept connections ({reason[0]})")
    try:
        return dist.TCPStore(
            address.host,
            address.port,
            rank_info.world_size,
            is_holder,
            timedelta(seconds=max(deadline - time.monotonic(), 1)),
            wait_for_workers=False,
            master_listen_fd=_listen(address) if is_holder else None,
        )
    except dist.DistError as error:
        raise TrainingError(f"{address} does not answer: {first_line(error)}") from error


def _listen(address: StoreAddress) -> int:
    """Open the port of the store; return the descriptor, which the store then owns."""
    try:
        listener = (
            socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048)
            if socket.has_dualstack_ipv6()
            else socket.create_server(("", address.port), backlog=2048)
        )
    except OSError as error:
        raise SetupError(
            f"rank 0 cannot open port {address.port} (MASTER_PORT) for the store of the ranks: {error.strerror}. "
            "Stop the process that uses it, or choose another port"
        ) from None
    return listener.detach()


def _is_open(address: StoreAddress, reason: list[str]) -> bool:
    """Try to connect; leave the reason of a failure in the list."""
    try:
        resolved = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(address.host, address.port)})
        socket.create_connection((address.host, address.port), timeout=_CONNECT_S).close()
    except socket.gaierror as error:
        reason[0] = f"{address.host} is no known host: {error.strerror}"
    except OSError as error:
        reason[0] = f"{address.host} resolves to {', '.join(resolved)}: {error.strerror or error}"
    else:
        return True
    return False


def _lead(store: dist.Store, me: Member, world_size: int, waiting: _Waiting) -> tuple[str, list[Member]]:
    """Propose a name as rank 0, wait for all signatures, and publish them."""
    name = f"run-{uuid.uuid4().hex}"
    store.set("run", name)
    missing = list(range(1, world_size))

    def is_complete() -> bool:
        while missing and store.check([f"{name}/{missing[0]}"]):
            missing.pop(0)
        return not missing

    waiting.until(is_complete, lambda: f"{_ranks(missing)} of {world_size} did not join at {waiting.address}")
    members = [me, *(Member(**json.loads(store.get(f"{name}/{rank}"))) for rank in range(1, world_size))]
    store.set(f"{name}/members", json.dumps([asdict(member) for member in members]))
    return name, members


def _follow(store: dist.Store, me: Member, world_size: int, waiting: _Waiting) -> tuple[str, list[Member]]:
    """Sign the name that rank 0 proposes; another one replaces it if it was proposed to earlier processes."""
    signed, members = "", list[Member]()

    def is_accepted() -> bool:
        nonlocal signed, members
        if not store.check(["run"]):
            return False
        name = store.get("run").decode()
        if name != signed:
            store.set(f"{name}/{me.rank}", json.dumps(asdict(me)))
            signed = name
        if not store.check([f"{name}/members"]):
            return False
        members = [Member(**fields) for fields in json.loads(store.get(f"{name}/members"))]
        return len(members) > me.rank and members[me.rank].signature == me.signature

    waiting.until(is_accepted, lambda: f"rank 0 or another of {world_size} ranks did not join at {waiting.address}")
    return signed, members


def _introduce(rank: int) -> Member:
    host, process = socket.gethostname(), os.getpid()
    return Member(rank, host, process, namespace(), start_time(process), _gloo_address(host), uuid.uuid4().hex)


def _gloo_address(host: str) -> str:
    """Describe the address at which gloo listens: that of an interface, or the one to which the host name resolves."""
    interface = env.gloo_interface()
    if interface:
        return f"interface {interface}"
    try:
        return f"{socket.gethostbyname(host)} (by its host name {host})"
    except OSError:
        return f"127.0.0.1 (its host name {host} does not resolve)"


def _ranks(ranks: list[int]) -> str:
    shown = ", ".join(map(str, ranks[:8])) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}"
