"""Graceful shutdown: SIGINT and SIGTERM finish the current step, save a checkpoint and exit; a second exits at once.

The exit status is 128 + the number of the signal (130 for Ctrl-C, 143 for SIGTERM), as of a shell, so that a script can
distinguish a stopped run from a finished one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from tzrec import env
from tzrec.live_line import live_line
from tzrec.log import logger

_REPEAT_S = 0.3
"""A key that is held down repeats: within this time it is the same Ctrl-C."""
_FORWARD_S = 2.0
"""torchrun forwards a Ctrl-C to ranks that the terminal has signalled already; within this time it is the same one."""


class Signals:
    """Context manager that records the first SIGINT or SIGTERM instead of terminating the process.

    It also records one that arrives after the block, until `restore`: the agent of torchrun sends SIGTERM to the ranks
    that are left, and these need a moment to report the rank that they lost.

    Attributes:
        received: number of the signal, 0 before the first one.
    """

    received = 0

    def __init__(self) -> None:
        self._received_at = 0.0
        self._previous_handlers: dict[int, Any] = {}
        self._can_save = False
        self._repeat_s = _FORWARD_S if env.rank_info().launched else _REPEAT_S

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            numbers = (signal.SIGINT, signal.SIGTERM)
            self._previous_handlers = {number: signal.signal(number, self._handle) for number in numbers}
        self._can_save = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._can_save = False

    def restore(self) -> None:
        """Give the signals back to the handlers that they had before."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received and now - self._received_at > self._repeat_s:
            live_line.keep()
            os._exit(128 + number)
        if not self.received:
            self.received, self._received_at = number, now
            name = signal.Signals(number).name
            again = "press Ctrl-C again to exit now" if number == signal.SIGINT else "send it again to exit now"
            what = "saving a checkpoint, then exiting" if self._can_save else "the run is ending already"
            logger.info("stop   %s received: %s (%s)", name, what, again)
