"""Ctrl-C and SIGTERM ask a run to stop: it finishes the step, saves and leaves. Asked twice it leaves at once.

Exit status is 128 + the number of the signal (130 for Ctrl-C, 143 for SIGTERM), as a shell would have it, so that a
script does not take a stopped run for a finished one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from tzrec.log import logger

_ECHO_S = 2.0
"""torchrun hands a Ctrl-C on to ranks that the terminal has already told; a user's second one comes later."""


class Signals:
    """While entered, remembers the first signal instead of dying of it.

    Attributes:
        received: number of the signal, 0 as long as there was none.
    """

    received = 0

    def __init__(self) -> None:
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # only there may a program set handlers
            self._before = {each: signal.signal(each, self._handle) for each in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received and now - self._since > _ECHO_S:
            os._exit(128 + number)
        if not self.received:
            self.received, self._since = number, now
            logger.info("stop   asked to: saves after this step and leaves; once more leaves at once")
