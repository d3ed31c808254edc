"""PartProgress: log lines that tell how far the work on parts is, and on a terminal a line that moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tzrec.data.parts.part import Part
from tzrec.data.row_progress import RowProgress


class PartProgress(RowProgress):
    """Counter of the parts that all ranks have begun and of the rows of this rank.

    Args:
        command: name for log lines.
    """

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self._parts: Sequence[Part] = ()
        self._num_begun = self._rows_before = 0

    def start(self, parts: Sequence[Part]) -> None:
        """Begin with the work on parts, in the order in which they are drawn."""
        self._parts = parts
        self.restart()

    def begin(self, number: int) -> None:
        """Count the parts before one, which this rank or others have drawn; this rank goes on with it."""
        self._num_begun, self._rows_before = number, self._num_rows

    @property
    def share(self) -> float:
        weights = [part.weight for part in self._parts]
        done = float(sum(weights[: self._num_begun]))
        if self._num_begun < len(weights):
            num_rows = self._parts[self._num_begun].estimate_rows()
            part_share = (self._num_rows - self._rows_before) / num_rows if num_rows else 0.0
            done += min(part_share, 1.0) * weights[self._num_begun]
        return done / max(sum(weights), 1)

    def _remarks(self) -> Iterator[str]:
        yield f"part {min(self._num_begun + 1, len(self._parts)):,}/{len(self._parts):,}"
