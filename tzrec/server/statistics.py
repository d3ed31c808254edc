"""ModelStatistics: counts of a version since it was loaded, as Triton's statistics extension returns them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

_NANOSECONDS = 1e9


@dataclass
class _Duration:
    """Number of events and their nanoseconds in sum."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += round(seconds * _NANOSECONDS)


class ModelStatistics:
    """Counts of requests, batches and rows. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_rows, self._last_ms = 0, 0
        self._durations = {name: _Duration() for name in ("success", "fail", "queue", "compute_infer")}

    def record_request(self, is_answered: bool, seconds: float) -> None:
        """Count a request that was answered or refused, and its time in the server."""
        with self._lock:
            self._durations["success" if is_answered else "fail"].add(seconds)
            self._last_ms = time.time_ns() // 1_000_000

    def record_wait(self, seconds: float) -> None:
        """Count the time that the first request of a batch waited."""
        with self._lock:
            self._durations["queue"].add(seconds)

    def record_batch(self, num_rows: int, seconds: float) -> None:
        """Count a batch that was scored."""
        with self._lock:
            self._num_rows += num_rows
            self._durations["compute_infer"].add(seconds)

    def snapshot(self) -> dict[str, Any]:
        """The counts, by the names of the extension."""
        with self._lock:
            return {
                "last_inference": self._last_ms,
                "inference_count": self._num_rows,
                "execution_count": self._durations["compute_infer"].count,
                "inference_stats": {name: vars(value).copy() for name, value in self._durations.items()},
            }
