from __future__ import annotations

import threading
import time

import pytest

from tzrec.server import background_writer
from tzrec.server.background_writer import BackgroundWriter


def test_writer_writes_items_in_their_order() -> None:
    written: list[int] = []
    writer: BackgroundWriter[int] = BackgroundWriter("a log", written.extend, 1000, pytest.fail)
    for number in range(100):
        writer.put(number, 10)
    writer.close()
    assert written == list(range(100))


def test_writer_drops_and_counts_what_exceeds_its_memory() -> None:
    begun, may_end, written, dropped = threading.Event(), threading.Event(), [], []

    def write(items: list[int]) -> None:
        begun.set()
        assert may_end.wait(30)
        written.extend(items)

    writer: BackgroundWriter[int] = BackgroundWriter("a log", write, 50, dropped.append)
    writer.put(0, 50)
    assert begun.wait(30)  # a disk that does not answer
    start = time.monotonic()
    for number in range(1, 8):
        writer.put(number, 10)
    assert time.monotonic() - start < 1
    may_end.set()
    writer.close()
    assert written == list(range(6)) and sum(dropped) == 2


def test_writer_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(background_writer, "_PAUSE_S", 0.5)
    written, dropped, errors = [], [], [OSError(28, "No space left on device")]

    def write(items: list[int]) -> None:
        if errors:
            raise errors.pop()
        written.extend(items)

    writer: BackgroundWriter[int] = BackgroundWriter("the log", write, 1000, dropped.append)
    writer.put(0, 10)
    deadline = time.monotonic() + 30
    while not dropped and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.put(1, 10)  # dropped at once: the disk is still full
    time.sleep(0.6)
    writer.put(2, 10)
    writer.close()
    assert written == [2] and sum(dropped) == 2
    assert "the log was not written: No space left on device; tried again in 0.5 s" in caplog.text
