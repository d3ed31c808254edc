"""The live line of a terminal: what a reader of the screen sees."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest

from tzrec.live_line import LiveLine, fit


class Terminal(io.StringIO):
    """Stream that is a terminal; it knows what its screen shows."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Lines of the screen, after all that was written."""
        return [line.rpartition("\r\x1b[2K")[2] for line in self.getvalue().split("\n")]


def show(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a stream the standard error of the module; pytest replaces that of Python after the fixtures."""
    monkeypatch.setattr("tzrec.live_line.sys", SimpleNamespace(stderr=stream))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    show(stream, monkeypatch)
    return stream


@pytest.fixture
def line() -> LiveLine:
    line = LiveLine()
    line.is_enabled = True
    return line


def test_live_line_is_redrawn_below_what_is_written_above(terminal: Terminal, line: LiveLine) -> None:
    line.draw("step 1")
    with line.above():
        terminal.write("warning: a\n")
    assert terminal.screen() == ["warning: a", "step 1"]
    line.draw("step 2")
    assert terminal.screen() == ["warning: a", "step 2"]
    line.keep()
    line.draw("step 3")
    line.erase()
    assert terminal.screen() == ["warning: a", "step 2", ""]


def test_live_line_that_is_not_enabled_or_no_terminal_draws_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = LiveLine()
    line.draw("step 1")
    assert terminal.getvalue() == ""
    line.is_enabled = True
    stream = io.StringIO()
    show(stream, monkeypatch)
    with line.counting("compile"):
        line.draw("step 1")
    line.keep()
    assert stream.getvalue() == ""


def test_live_line_on_terminal_that_is_gone_gives_up(line: LiveLine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    show(Gone(), monkeypatch)
    line.draw("step 1")
    assert not line.is_live


def test_live_line_counts_seconds_and_is_erased(
    terminal: Terminal, line: LiveLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tzrec.live_line._TICK_S", 0.01)
    with line.counting("compile"):
        deadline = time.monotonic() + 20
        while "compile" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert terminal.screen() == ["compile  0 s ..."]
    assert terminal.screen() == [""]


def test_live_line_shows_no_control_characters(terminal: Terminal, line: LiveLine) -> None:
    line.draw("a\nb\x1b[2J")
    assert terminal.screen() == ["a\\nb\\x1b[2J"]


@pytest.mark.parametrize(("width", "text"), [(80, "ab点击cd"), (9, "ab点击cd"), (8, "ab点击c"), (6, "ab点"), (1, "")])
def test_fit_counts_two_cells_for_wide_characters(width: int, text: str) -> None:
    assert fit("ab点击cd", width) == text
