"""Signals are remembered once and obeyed at once when repeated."""

from __future__ import annotations

import os
import signal

import pytest

from tzrec.run import signals as module
from tzrec.run.signals import Signals


def test_the_first_is_remembered_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        assert signals.received == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_second_leaves_at_once_unless_it_is_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    now = [10.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.os, "_exit", left.append)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert left == [], "torchrun hands on what the terminal has already sent"
        now[0] = 12.5
        os.kill(os.getpid(), signal.SIGINT)
        assert left == [130]
        assert signals.received == signal.SIGINT
