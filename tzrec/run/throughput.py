"""Throughput: rows per second of the last seconds, and the time that is left."""

from __future__ import annotations

import time
from collections import deque

from tzrec.checkpoint.position import Position
from tzrec.run.stop_condition import StopCondition

_WINDOW_S = 30.0
_SPACING_S = 0.25
"""Time between two marks that are kept: the window holds 120 of them."""


class Throughput:
    """Pace of a run, without its first step, in which caches and readers warm up, and without pauses.

    The time that is left counts pauses (checkpoints and evaluations) at their rate so far.

    Args:
        stop_condition: of the run.
    """

    def __init__(self, stop_condition: StopCondition) -> None:
        self._stop_condition = stop_condition
        self._marks: deque[tuple[float, float, int]] = deque(maxlen=int(_WINDOW_S / _SPACING_S))
        self._num_rows = 0
        self._paused_s = 0.0
        self._first = self._last = (0.0, 0.0, 0)

    def update(self, position: Position, num_rows: int) -> None:
        """Count a step.

        Args:
            position: after it.
            num_rows: of all ranks.
        """
        self._num_rows += num_rows
        seconds = time.perf_counter() - self._paused_s
        self._last = (seconds, self._stop_condition.fraction(position) or 0.0, self._num_rows)
        if not self._marks:
            self._first = self._last
        if not self._marks or seconds - self._marks[-1][0] >= _SPACING_S:
            self._marks.append(self._last)

    def exclude(self, seconds: float) -> None:
        """Count time that was not spent on training."""
        self._paused_s += seconds

    @property
    def rows_per_second(self) -> float | None:
        """Rows of all ranks per second; None before the second step."""
        seconds, _, rows = self._recent()
        return rows / seconds if seconds > 0 else None

    @property
    def eta(self) -> float | None:
        """Seconds to the end; None before the second step, or if the length of the run is unknown."""
        seconds, progress, _ = self._recent()
        if progress <= 0:
            return None
        left = 1 - self._last[1]
        return left * (seconds / progress + self._paused_s / (self._last[1] - self._first[1]))

    def _recent(self) -> tuple[float, float, int]:
        """Seconds, fraction of the run and rows between the oldest mark and the last step."""
        if not self._marks:
            return 0.0, 0.0, 0
        oldest = self._marks[0]
        return self._last[0] - oldest[0], self._last[1] - oldest[1], self._last[2] - oldest[2]
