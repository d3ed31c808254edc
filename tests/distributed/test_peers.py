"""Watch of ranks over each other, with two ranks as threads of this process."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from tzrec.distributed import meeting, peers, processes
from tzrec.distributed.meeting import Meeting, WaitNotice, meet
from tzrec.distributed.peers import LostRankError, Peers
from tzrec.distributed.progress import RankProgress
from tzrec.env import RankInfo, rank_info, store_address
from tzrec.errors import DataError, SetupError, TrainingError, UsageError

T = TypeVar("T")
RANKS = [RankInfo(rank, 2, rank, 2, launched=True) for rank in range(2)]


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setattr(meeting, "_stores", {})


def on_both(function: Callable[[RankInfo], T]) -> list[T]:
    """Call a function for both ranks at the same time."""
    results: dict[int, T] = {}

    def run(info: RankInfo) -> None:
        results[info.rank] = function(info)

    threads = [threading.Thread(target=run, args=(info,)) for info in RANKS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return [results[rank] for rank in range(2)]


def meetings() -> list[Meeting]:
    return on_both(lambda info: meet(info, 10, WaitNotice()))


def watches(progress: list[RankProgress], timeout_s: float = 10) -> list[Peers]:
    both = meetings()
    return on_both(lambda info: Peers(both[info.rank], info.rank, timeout_s, progress[info.rank]))


def test_meetings_in_one_store_take_different_names() -> None:
    """A key of the first run, as one that a restart left behind, is not seen in the second one."""
    first = meetings()
    first[0].store.set("key", "old")
    assert first[1].store.get("key") == b"old"
    second = meetings()
    assert [meeting.store.check(["key"]) for meeting in second] == [False, False]
    second[1].store.set("key", "new")
    assert second[0].store.get("key") == b"new"
    assert [member.rank for member in second[0].members] == [0, 1]
    assert second[0].members == second[1].members


def test_meet_without_other_rank_names_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The time is over once the notice was logged: a busy machine may log it late."""
    is_noticed = lambda: any("did not join" in message for message in caplog.messages)  # noqa: E731
    clock = SimpleNamespace(monotonic=lambda: 60.0 if is_noticed() else 0.0, sleep=time.sleep)
    monkeypatch.setattr(meeting, "time", clock)
    monkeypatch.setattr(meeting, "_GRACE_S", 0.0)
    monkeypatch.setattr(meeting, "NOTICE_AFTER_S", 0.2)
    monkeypatch.setattr(meeting, "_NOTICE_EVERY_S", 0.2)
    with (
        WaitNotice() as notice,
        pytest.raises(TrainingError, match=r"gave up waiting: rank 1 of 2 did not join at 127"),
    ):
        meet(RANKS[0], 30, notice)
    text = next(message for message in caplog.messages if "did not join" in message)
    assert "rank 1 of 2 did not join at 127.0.0.1:" in text
    assert "--local-addr" in text


def test_notice_before_the_store_is_open_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A lookup of the own name may take long."""
    monkeypatch.setattr(meeting, "NOTICE_AFTER_S", 0.05)
    monkeypatch.setattr(meeting, "_NOTICE_EVERY_S", 0.05)

    def introduce(rank: int) -> Any:
        end = time.monotonic() + 20
        while not any("opens the store" in message for message in caplog.messages) and time.monotonic() < end:
            time.sleep(0.01)
        raise TrainingError("the end")

    monkeypatch.setattr(meeting, "_introduce", introduce)
    with pytest.raises(TrainingError, match="the end"), WaitNotice() as notice:
        meet(RANKS[0], 30, notice)
    assert re.search(r"rank 0 opens the store at 127\.0\.0\.1:\d+ ", caplog.messages[-1]), caplog.messages


def test_meet_without_store_names_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_GRACE_S", 0.0)
    with WaitNotice() as notice, pytest.raises(TrainingError, match=r"127.*does not accept connections.*refused"):
        meet(RANKS[1], 0.3, notice)


def test_meet_on_port_in_use_names_variable() -> None:
    with socket.create_server(("127.0.0.1", store_address().port)), pytest.raises(SetupError, match="MASTER_PORT"):
        meet(RANKS[0], 1, WaitNotice())


def test_error_of_other_rank_is_repeated() -> None:
    first, second = watches([RankProgress(), RankProgress()])
    second.leave(DataError("row 7 of a.csv"))
    error = first.explain(RuntimeError("gloo: connection closed"))
    assert f"rank 1 (host {socket.gethostname()}, process {os.getpid()}) ended with an error: DataError: row 7 of" in (
        str(error)
    )
    first.leave(error)


def test_silent_rank_is_named_with_place_of_waiting_rank() -> None:
    mine = RankProgress()
    first, second = watches([mine, RankProgress()])
    second.leave(None)  # without a word, and its thread writes no more
    mine.arrive("the step sync", 12)
    error = first.explain(RuntimeError("gloo: timed out"))
    assert "rank 1 " in str(error)
    assert "has not arrived at the step sync of step 12 for" in str(error)
    first.leave(error)


def test_wait_for_all_waits_as_long_as_other_rank_advances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_BEAT_S", 0.2)
    progress = [RankProgress(), RankProgress()]
    first, second = watches(progress, timeout_s=1.0)
    progress[0].arrive("the end of its work")

    def work() -> None:
        for _ in range(8):
            progress[1].advance()
            time.sleep(0.3)
        progress[1].arrive("the end of its work")
        second.wait_for_all()

    thread = threading.Thread(target=work)
    thread.start()
    begin = time.monotonic()
    first.wait_for_all()
    assert time.monotonic() - begin > 2.0
    thread.join(10)
    progress[0].arrive("the next one")
    monkeypatch.setattr(peers, "_EVIDENCE_S", 0.5)
    with pytest.raises(LostRankError, match=r"rank 1 .* has not arrived at the next one"):
        first.wait_for_all()
    first.leave(None)
    second.leave(None)


@pytest.mark.parametrize("beat_s", [1.0, 30.0], ids=["records unread", "own threads held up"])
def test_wait_for_all_trusts_a_rank_of_which_nothing_was_read_for_long(
    monkeypatch: pytest.MonkeyPatch, beat_s: float
) -> None:
    """A rank that does not wait reads no records: the silence before the wait is its own."""
    monkeypatch.setattr(peers, "_EVIDENCE_S", 2.0)
    progress = [RankProgress(), RankProgress()]
    both = watches(progress)
    monkeypatch.setattr(peers, "_BEAT_S", beat_s)

    def wait(rank: int, delay_s: float) -> None:
        time.sleep(delay_s)
        progress[rank].arrive("the end of its work")
        both[rank].wait_for_all()

    for delay_s in (0.0, 2.5):
        late = threading.Thread(target=wait, args=(0, delay_s + 0.5))
        late.start()
        wait(1, delay_s)
        late.join(10)
    for watch in both:
        watch.leave(None)


def test_state_of_process_is_gone_or_stopped() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = processes.start_time(process.pid)
    assert processes.state(process.pid, started) == ""
    assert processes.state(process.pid, "1") == processes.GONE
    process.send_signal(19)
    end = time.monotonic() + 5
    while processes.state(process.pid, started) != processes.STOPPED and time.monotonic() < end:
        time.sleep(0.01)
    assert processes.state(process.pid, started) == processes.STOPPED
    process.kill()
    process.wait()
    assert processes.state(process.pid, started) == processes.GONE


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "x"}, "RANK='x' is not a whole number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 is not below WORLD_SIZE=2"),
    ],
)
def test_rank_info_with_invalid_variables_raises(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        rank_info()


def test_store_address_without_port_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_PORT")
    with pytest.raises(UsageError, match=r"MASTER_ADDR='127.0.0.1' and MASTER_PORT=0 are not an address"):
        store_address()
