"""Lines of delimited text that hold no row: the errors about them, and the count and sample of those left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tzrec.errors import DataError
from tzrec.formatting import shorten

WRONG_CELLS = "wrong number of cells"
OPEN_QUOTE = "a quote that does not close"
COLUMN_NAMES = "the column names once more"
SAMPLE_LINES = 100


@dataclass(frozen=True)
class BadLine:
    """A line, or record of several lines, that holds no row.

    Attributes:
        begin: its first byte in the text that was read.
        end: the first byte after it, or after its last cell.
        at: the byte that the error is about.
        reason: short and constant.
        detail: the sentence of the error.
        text: the first characters from `at` on.
        line: number of the line of `at` in the file, from 1.
    """

    begin: int
    end: int
    at: int
    reason: str
    detail: str
    text: str
    line: int = 0

    def error(self, name: str) -> DataError:
        """Create the error for the ERROR policy; `name` is that of the file."""
        return DataError(
            f"{name}, line {self.line}: {self.detail}: {self.text!r}. {_FIXES[self.reason]}, or set "
            "data_config.bad_row_policy to SKIP_ROW to skip such lines"
        )


_FIXES = {
    WRONG_CELLS: "Correct the line or data_config.delimiter",
    OPEN_QUOTE: 'Close the quote, set data_config.quote to "" if quotes are ordinary characters in this data',
    COLUMN_NAMES: "Remove the line",
}


def begin_of(text: bytes) -> str:
    """Return the begin of a line for messages."""
    return shorten(text[:1000].decode("utf-8", "replace").rstrip("\r\n"))


@dataclass
class BadLines:
    """Count and sample of lines that were left out.

    Attributes:
        counts: number of lines by reason.
        sample: the first lines, each with the name of its file.
    """

    counts: Counter[str] = field(default_factory=Counter)
    sample: list[tuple[str, BadLine]] = field(default_factory=list)

    def add(self, name: str, line: BadLine) -> None:
        """Add a line of the file `name`."""
        self.counts[line.reason] += 1
        if len(self.sample) < SAMPLE_LINES:
            self.sample.append((name, line))

    def extend(self, name: str, counts: Counter[str], sample: Sequence[BadLine]) -> None:
        """Add the lines of the file `name`, of which `sample` are the first."""
        self.counts.update(counts)
        self.sample += [(name, line) for line in sample[: SAMPLE_LINES - len(self.sample)]]

    def clear(self) -> None:
        """Forget all lines."""
        self.counts.clear()
        self.sample.clear()

    def describe(self) -> str:
        """Format the counts and the first line for an error about data without rows; "" if there are none."""
        if not self.sample:
            return ""
        name, first = self.sample[0]
        counts = ", ".join(f"{reason} {count:,}" for reason, count in self.counts.items())
        total = sum(self.counts.values())
        return (
            f"; {total:,} lines were left out ({counts}), the first of them {name}, line {first.line}: {first.detail}"
        )
