"""PartProgress: log lines that tell how far the work on parts is, and on a terminal a line that moves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tzrec.data.parts.part import Part
from tzrec.formatting import format_count, format_duration, progress_bar
from tzrec.live_line import REDRAW_S, live_line
from tzrec.log import log_facts

INTERVAL_S = 10.0
"""Time between two lines."""
_FIRST_LINE_S = 3.0


class PartProgress:
    """Counter of the parts that all ranks have begun and of the rows of this rank.

    Args:
        command: name for log lines.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._parts: Sequence[Part] = ()
        self._num_begun = self._num_rows = self._rows_before = 0
        self._start = self._next_line = self._drawn_at = time.perf_counter()

    def start(self, parts: Sequence[Part]) -> None:
        """Begin with the work on parts, in the order in which they are drawn."""
        self._parts = parts
        self._start = time.perf_counter()
        self._next_line = self._start + _FIRST_LINE_S

    def begin(self, number: int) -> None:
        """Count the parts before one, which this rank or others have drawn; this rank goes on with it."""
        self._num_begun, self._rows_before = number, self._num_rows

    def advance(self, num_rows: int) -> None:
        """Count rows; log a line if the last one is long ago."""
        self._num_rows += num_rows
        now = time.perf_counter()
        if live_line.is_live:
            if now - self._drawn_at >= REDRAW_S:
                self._drawn_at = now
                live_line.draw(self._line(now - self._start))
        elif now >= self._next_line:
            self._next_line = now + INTERVAL_S
            facts = {"num_rows": self._num_rows, "share": self.share}
            log_facts(self._line(now - self._start), event="progress", command=self.command, **facts)

    def end(self) -> None:
        """Erase the line that moves: this rank has no more parts."""
        live_line.erase()

    @property
    def share(self) -> float:
        """Share of the work that is done, from 0 to 1."""
        weights = [part.weight for part in self._parts]
        done = float(sum(weights[: self._num_begun]))
        if self._num_begun < len(weights):
            num_rows = self._parts[self._num_begun].estimate_rows()
            part_share = (self._num_rows - self._rows_before) / num_rows if num_rows else 0.0
            done += min(part_share, 1.0) * weights[self._num_begun]
        return done / max(sum(weights), 1)

    def _line(self, elapsed_s: float) -> str:
        return f"{self.command:<6} {'  '.join(self._describe(elapsed_s))}"

    def _describe(self, elapsed_s: float) -> Iterator[str]:
        share = self.share
        yield f"{self._num_rows:,} rows"
        yield f"part {min(self._num_begun + 1, len(self._parts)):,}/{len(self._parts):,}"
        yield f"{int(100 * share + 1e-9)} %|{progress_bar(share)}| {format_count(self._num_rows / elapsed_s)} rows/s"
        if share:
            yield f"eta {format_duration(elapsed_s / share - elapsed_s)}"
