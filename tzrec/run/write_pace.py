"""WritePace: limit of the time that a run spends on files which it writes again as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

MAX_SHARE = 0.01
"""Largest share of the time since the last writing that one more takes, judged by the last one."""


class WritePace:
    """Pace of a file that is written again as a whole while the run that it describes goes on.

    Such a file costs more the longer the run is: written after each event it would cost time that is quadratic in their
    number. By this pace it costs 1 % of the time of a run at most, and is written the more often the cheaper it is.

    Args:
        min_s: shortest time from the begin, and between two writings; 0 if the first event may write.

    Example:
        >>> pace = WritePace()
        >>> if pace.is_due:
        ...     with pace.writing():
        ...         pass
    """

    def __init__(self, min_s: float = 0.0) -> None:
        self._min_s = min_s
        self._due_at = time.monotonic() + min_s

    @property
    def is_due(self) -> bool:
        """True once the last writing is 1 % of the time since then or less."""
        return time.monotonic() >= self._due_at

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Measure the block that writes the file."""
        start = time.monotonic()
        try:
            yield
        finally:
            end = time.monotonic()
            self._due_at = end + max((end - start) / MAX_SHARE, self._min_s)
