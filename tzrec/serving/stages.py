"""Progress of an export: a log line for each stage that has ended, and on a terminal a line that counts meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tzrec.log import logger, side_output

_REDRAW_S = 0.5


class Stages:
    """Stages of an export, one after the other.

    Args:
        prefix: in front of the names of the stages, as the part of a model.
        stream: default: stderr.
    """

    def __init__(self, prefix: str = "", stream: TextIO | None = None) -> None:
        self._prefix, self._stream = f"{prefix}: " if prefix else "", stream or sys.stderr
        self._is_live = self._stream.isatty() and bool(logger.handlers)  # without log lines no moving line either

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a block as a stage.

        Args:
            name: what it does, in the imperative: "trace the model".
        """
        start, is_over = time.perf_counter(), threading.Event()
        thread = threading.Thread(target=self._draw, args=(name, start, is_over), name="stages", daemon=True)
        if self._is_live:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            if self._is_live:
                thread.join()
        logger.info("export %s%s  %.1f s", self._prefix, name, time.perf_counter() - start)

    def _draw(self, name: str, start: float, is_over: threading.Event) -> None:
        """Redraw the line of a stage until it is over, and then erase it."""
        with side_output("the progress line"):
            while not is_over.wait(_REDRAW_S):
                self._stream.write(f"\r\x1b[2Kexport {self._prefix}{name}  {time.perf_counter() - start:.0f} s ...")
                self._stream.flush()
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
