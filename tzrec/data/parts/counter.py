"""RowCounter: counts of the rows of a part, and a sample of its bad values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tzrec.data.bad_rows import SAMPLE_ROWS, BadValue, to_record
from tzrec.data.parts.part import Part, PartResult


class RowCounter:
    """Counter of the rows of one part.

    Args:
        part: the part; the first one of a file counts the lines of the file that hold no row.
    """

    def __init__(self, part: Part) -> None:
        self._part, self._reader, self._result = part, part.reader, PartResult()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, read: int, rows: int, bad: Sequence[BadValue]) -> None:
        """Add consecutive rows.

        Args:
            read: rows of the input.
            rows: rows written.
            bad: their bad values.
        """
        result = self._result
        self._counts.update((value.column, value.reason) for value in bad)
        result.sample += [to_record(value, self._reader) for value in bad[: SAMPLE_ROWS - len(result.sample)]]
        result.read += read
        result.rows += rows

    def result(self) -> PartResult:
        """Return the counts."""
        left_out = self._reader.bad_lines.counts if self._part.first == 0 else {}
        lines = {("line", reason): count for reason, count in left_out.items()}
        self._result.bad = [(column, reason, count) for (column, reason), count in {**self._counts, **lines}.items()]
        return self._result
