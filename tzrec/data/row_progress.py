"""RowProgress: log lines that tell how many rows were read, and on a terminal a line that moves."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

from tzrec.data.reader import Piece, Reader
from tzrec.formatting import format_count, format_duration, progress_bar
from tzrec.live_line import REDRAW_S, live_line
from tzrec.log import log_facts

INTERVAL_S = 10.0
"""Time between two lines."""
_FIRST_LINE_S = 3.0


class RowProgress(ABC):
    """Counter of rows, with a line that moves on a terminal, else one every ten seconds; the first after three.

    Args:
        command: name for the lines.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._num_rows = 0
        self.restart()

    def restart(self) -> None:
        """Begin to measure the time: what was before is not counted."""
        self._start = self._drawn_at = time.perf_counter()
        self._next_line = self._start + _FIRST_LINE_S

    def advance(self, num_rows: int) -> None:
        """Count rows; draw the line, or log one if the last one is long ago."""
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
        """Erase the line that moves."""
        live_line.erase()

    @property
    @abstractmethod
    def share(self) -> float | None:
        """Share of the work that is done, from 0 to 1; None if it is not known."""

    def _remarks(self) -> Iterator[str]:
        """Yield what stands behind the number of rows."""
        yield from ()

    def _line(self, elapsed_s: float) -> str:
        return f"{self.command:<6} {'  '.join(self._describe(elapsed_s))}"

    def _describe(self, elapsed_s: float) -> Iterator[str]:
        share = self.share
        yield f"{self._num_rows:,} rows"
        yield from self._remarks()
        rate = f"{format_count(self._num_rows / elapsed_s)} rows/s"
        yield rate if share is None else f"{int(100 * share + 1e-9)} %|{progress_bar(share)}| {rate}"
        if share:
            yield f"eta {format_duration(elapsed_s / share - elapsed_s)}"


class ReadProgress(RowProgress):
    """Progress of a command that reads all rows of a reader once.

    Args:
        command: name for the lines.
        reader: of the rows; of text it estimates their number by the bytes that were read.
    """

    def __init__(self, command: str, reader: Reader) -> None:
        super().__init__(command)
        self._reader = reader

    @property
    def share(self) -> float | None:
        num_rows = self._reader.estimate_rows()
        return min(self._num_rows / num_rows, 1.0) if num_rows else None

    def watch(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Yield pieces of the reader unchanged, and count their rows once they are worked on."""
        try:
            for piece in pieces:
                yield piece
                self.advance(piece.batch.num_rows)
        finally:
            self.end()
