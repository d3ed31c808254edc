"""Lease: one writer for each directory of a store, also after the end of a process that could release nothing."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.fixtures.faulty_store import faulty  # noqa: F401 - a fixture
from tzrec.checkpoint import lease as module
from tzrec.checkpoint.lease import Lease, lock_directory
from tzrec.errors import CheckpointError
from tzrec.storage.path import StorePath, to_path

pytestmark = pytest.mark.usefixtures("faulty")
WAIT_S = 0.4


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> StorePath:
    monkeypatch.setattr(module, "RENEW_S", 0.02)
    monkeypatch.setattr(module, "EXPIRY_S", WAIT_S)
    monkeypatch.setattr(module, "_POLL_S", 0.02)
    path = to_path("faulty://bucket/model")
    assert isinstance(path, StorePath)
    return path


def write_lock(directory: StorePath, number: int, process: str = "") -> None:
    """Leave what a process leaves that was killed."""
    content = {"holder": "process 7 on elsewhere", "process": process, "token": "other", "renewals": 3}
    (directory / f".lock-{number}").write_text(json.dumps(content))


def names(directory: StorePath) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_second_writer_is_refused_while_the_first_renews(directory: StorePath) -> None:
    with lock_directory(directory) as lease:
        start = time.monotonic()
        with pytest.raises(CheckpointError, match=r"model is being written by process \d+ on .*--model_dir"):
            Lease(directory)
        assert time.monotonic() - start < WAIT_S + 3
        lease.ensure_held()
    assert names(directory) == []
    Lease(directory).release()


def test_lease_of_a_process_that_ended_elsewhere_expires(directory: StorePath) -> None:
    write_lock(directory, 4)
    start = time.monotonic()
    lease = Lease(directory)
    assert time.monotonic() - start >= WAIT_S
    assert names(directory) == [".lock-5"]
    lease.release()
    assert names(directory) == []


def test_lease_of_a_process_that_ended_here_is_taken_at_once(directory: StorePath) -> None:
    boot, namespace, _, _ = module._process(1).split("/")
    write_lock(directory, 1, f"{boot}/{namespace}/999999999/1")
    start = time.monotonic()
    Lease(directory).release()
    assert time.monotonic() - start < WAIT_S


def test_holder_that_was_taken_for_dead_saves_no_more(directory: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 60.0)
    first = Lease(directory)
    monkeypatch.setattr(module, "_process", lambda pid: "")  # as if it were on another machine
    second = Lease(directory)
    with pytest.raises(CheckpointError, match="was taken over by process"):
        first.ensure_held()
    second.ensure_held()
    first.release()  # releases nothing that is not its own
    second.ensure_held()
    second.release()


def test_one_of_many_takes_an_expired_lease(directory: StorePath) -> None:
    write_lock(directory, 1)
    leases: list[Lease] = []
    refused: list[str] = []

    def take() -> None:
        try:
            leases.append(Lease(directory))
        except CheckpointError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(leases), len(refused)) == (1, 4)
    leases[0].release()
