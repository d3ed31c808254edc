from __future__ import annotations

import io
import logging
import re
import time

import pytest

from tzrec.log import logger
from tzrec.serving.stages import Stages


class Terminal(io.StringIO):
    """Stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_stage_is_logged_with_its_seconds_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    with caplog.at_level(logging.INFO, "tzrec"), Stages("user", stream).stage("trace the model"):
        assert caplog.messages == []
    assert re.fullmatch(r"export user: trace the model  0\.\d s", caplog.messages[0]) and stream.getvalue() == ""


def test_stage_on_terminal_counts_seconds_and_erases_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzrec.serving.stages._REDRAW_S", 0.01)
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    terminal = Terminal()
    with Stages(stream=terminal).stage("compile"):
        deadline = time.monotonic() + 20
        while "compile" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "\r\x1b[2Kexport compile  0 s ..." in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[2K")


def test_stage_that_fails_is_not_logged_as_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tzrec"), pytest.raises(ValueError, match="no"), Stages().stage("compile"):
        raise ValueError("no")
    assert caplog.messages == []
