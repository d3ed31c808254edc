"""PartProgress: log lines that tell how far the work on parts is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tzrec.data.parts.part import Part
from tzrec.formatting import format_count, format_duration
from tzrec.log import logger

INTERVAL_S = 10.0
"""Time between two lines."""


class PartProgress:
    """Counter of the parts that all ranks have begun and of the rows of this rank.

    Args:
        command: name for log lines.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._weights: list[int] = []
        self._num_begun = self._num_rows = 0
        self._start = self._last_line = time.perf_counter()

    def start(self, parts: Sequence[Part]) -> None:
        """Begin with the work on parts, in the order in which they are drawn."""
        self._weights = [part.weight for part in parts]
        self._start = self._last_line = time.perf_counter()

    def begin(self, number: int) -> None:
        """Count the parts before one: this rank or others have drawn them."""
        self._num_begun = number

    def advance(self, num_rows: int) -> None:
        """Count rows; log a line if the last one is long ago."""
        self._num_rows += num_rows
        now = time.perf_counter()
        if now - self._last_line >= INTERVAL_S:
            self._last_line = now
            logger.info("%-6s %s", self.command, ", ".join(self._describe(now - self._start)))

    def _describe(self, elapsed_s: float) -> Iterator[str]:
        share = sum(self._weights[: self._num_begun]) / max(sum(self._weights), 1)
        yield f"{self._num_begun:,} of {len(self._weights):,} parts ({share:.0%})"
        yield f"{self._num_rows:,} rows"
        yield f"{format_count(self._num_rows / elapsed_s)}/s"
        if share:
            yield f"{format_duration(elapsed_s / share - elapsed_s)} left"
