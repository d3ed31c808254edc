"""Live line: the last line of a terminal, redrawn in place while log lines are written above it."""

from __future__ import annotations

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tzrec.errors import escape_controls

REDRAW_S = 0.2
"""Shortest time between two drawings of a line by the same caller."""
_TICK_S = 0.5
_ERASE = "\r\x1b[2K"


class LiveLine:
    """Line at the bottom of the terminal that standard error is; nothing is drawn if it is none, or not enabled.

    Methods may be called from any thread. A terminal that is gone is not drawn on again, and ends no run.

    Attributes:
        is_enabled: set by `tzrec.log`: off in a program that has not asked for the lines of a run.
    """

    def __init__(self) -> None:
        self.is_enabled = False
        self._lock = threading.RLock()
        self._text = ""

    @property
    def is_live(self) -> bool:
        """True if what is drawn is seen: standard error is a terminal that can erase a line."""
        stream = sys.stderr
        return self.is_enabled and stream is not None and not stream.closed and stream.isatty()

    def draw(self, text: str) -> None:
        """Replace the line; what does not fit is cut off."""
        with self._lock:
            if self.is_live:
                self._text = escape_controls(text)
                self._write(_ERASE + fit(self._text, self._width()))

    def erase(self) -> None:
        """Remove the line."""
        with self._lock:
            if self._text:
                self._text = ""
                self._write(_ERASE)

    def keep(self) -> None:
        """Leave the line as it is drawn, and go on below it."""
        with self._lock:
            if self._text:
                self._text = ""
                self._write("\n")

    @contextmanager
    def above(self) -> Iterator[None]:
        """Erase the line for a block that writes to standard error, and draw it again below."""
        with self._lock:
            text = self._text
            self.erase()
            try:
                yield
            finally:
                if text:
                    self.draw(text)

    @contextmanager
    def counting(self, text: str | Callable[[], str]) -> Iterator[None]:
        """Draw a text and the seconds since the begin of the block, twice a second, until the block ends.

        Args:
            text: or a function that returns it, for a text that changes.
        """
        if not self.is_live:
            yield
            return
        start, is_over = time.monotonic(), threading.Event()

        def draw() -> None:
            while not is_over.wait(_TICK_S):
                self.draw(f"{text if isinstance(text, str) else text()}  {time.monotonic() - start:.0f} s ...")

        thread = threading.Thread(target=draw, name="live line", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            self.erase()

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self.is_enabled = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0 on a serial line
        except (OSError, ValueError):
            return 80


def fit(text: str, width: int) -> str:
    """Cut a text so that it takes less than `width` cells of a terminal; CJK characters take two."""
    num_cells = 0
    for number, character in enumerate(text):
        num_cells += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if num_cells >= width:
            return text[:number]
    return text


live_line = LiveLine()
"""That of this process."""
