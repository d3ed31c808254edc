"""JobTimer: seconds that the threads of a loader spend on reading and on encoding."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class JobTimer:
    """Seconds of jobs by their kind, over all threads.

    Attributes:
        seconds: by kind; of jobs that have ended.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def call(self, kind: str, job: Callable[[], T]) -> T:
        """Call a job, and add its time to that of its kind."""
        start = time.perf_counter()
        try:
            return job()
        finally:
            with self._lock:
                self.seconds[kind] += time.perf_counter() - start
