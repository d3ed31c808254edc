"""The first signal is recorded, a repeated one exits."""

from __future__ import annotations

import os
import signal

import pytest

from tzrec.run import signals as module
from tzrec.run.signals import Signals


def test_signals_first_is_recorded_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        assert signals.received == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    signals.restore()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(("launched", "repeated_s", "second_s"), [(False, 0.2, 0.5), (True, 1.9, 2.5)])
def test_signals_second_exits_unless_it_is_the_first_again(
    launched: bool, repeated_s: float, second_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if launched:  # torchrun forwards the signal of the terminal
        monkeypatch.setenv("RANK", "0")
    exit_codes: list[int] = []
    now = [10.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.os, "_exit", exit_codes.append)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        now[0] = 10.0 + repeated_s
        os.kill(os.getpid(), signal.SIGINT)
        assert exit_codes == []
        now[0] = 10.0 + second_s
        os.kill(os.getpid(), signal.SIGINT)
        assert exit_codes == [130]
        assert signals.received == signal.SIGINT
    signals.restore()


def test_signals_first_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tzrec")
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
    signals.restore()
    expected = "SIGINT received: saving a checkpoint, then exiting (press Ctrl-C again to exit now)"
    assert caplog.messages == [f"stop   {expected}"]


def test_signals_after_the_block_are_recorded_until_restored(caplog: pytest.LogCaptureFixture) -> None:
    """The agent of torchrun sends SIGTERM while a rank reports the one that it lost."""
    caplog.set_level("INFO", "tzrec")
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    signals.restore()
    assert signals.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert caplog.messages == ["stop   SIGTERM received: the run is ending already (send it again to exit now)"]
