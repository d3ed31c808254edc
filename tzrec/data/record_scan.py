"""Scan of delimited text for lines that hold no row: the careful reading of a block that the CSV parser did not take.

A quote that does not close takes in the rows after it, up to the next quote of the file, and what comes out may well
have the right number of cells. It shows by a closing quote inside of a cell, or by lines inside of the quoted cell that
are rows themselves: as many cells, and numbers in the columns of numbers.
A record of several lines with another number of cells shows it as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from tzrec.data.bad_lines import COLUMN_NAMES, OPEN_QUOTE, WRONG_CELLS, BadLine, begin_of
from tzrec.data.text_file import TextSyntax, count_lines, find_line, first_lines, last_line_break, line_end
from tzrec.features.arrays import Int64Array

MAX_QUOTED_BYTES = 16 << 20
"""A quoted cell that does not close within so many bytes is taken for one that never closes."""
_NUM_SAMPLED = 100
_NUMBER_SHARE = 0.8
_ROWS_WITHOUT_NUMBERS = 3


@dataclass
class RecordScan:
    """Scan of a text that begins with a record.

    Attributes:
        data: the text.
        is_last: true if nothing follows it.
        line: number of its first line.
        syntax: delimiter and quote.
        num_cells: number of cells of a row.
        names_line: line with the names of the columns, which may be in the middle of concatenated files.
        null_values: words for a missing value, besides "".
        end: end of the last whole record; set by `run`.
        bad: the lines that hold no row, in order; set by `run`.
    """

    data: bytes
    is_last: bool
    line: int
    syntax: TextSyntax
    num_cells: int
    names_line: bytes
    null_values: Collection[str] = ()
    end: int = 0
    bad: list[BadLine] = field(default_factory=list)

    def run(self) -> None:
        """Find the lines that hold no row."""
        if self.syntax.quote:
            self._find_open_quotes()
        else:
            self.end = len(self.data) if self.is_last else last_line_break(self.data)
        left_out = [(bad.begin, bad.end) for bad in self.bad]
        starts, ends, cells = find_records(self.data[: self.end], self.syntax, left_out)
        for index in np.flatnonzero(cells != self.num_cells).tolist():
            self._add_wrong_cells(int(starts[index]), int(ends[index]), int(cells[index]))
        self.bad += self._repeated_names()
        self.bad = self._with_lines()

    def _repeated_names(self) -> Iterator[BadLine]:
        at, size = 0, len(self.names_line)
        while (at := find_line(self.data, self.names_line, at, self.end)) >= 0:
            detail = "the line holds the names of the columns once more"
            yield BadLine(at, at + size, at, COLUMN_NAMES, detail, begin_of(self.names_line))
            at += size

    def _with_lines(self) -> list[BadLine]:
        """The bad lines in order, with the numbers of their lines: counted once over the text."""
        result, at, line = [], 0, self.line
        for bad in sorted(self.bad, key=lambda bad: bad.begin):
            line += count_lines(self.data[at : bad.at])
            at = bad.at
            result.append(replace(bad, line=line))
        return result

    def _find_open_quotes(self) -> None:
        """Find the quoted cells that take in rows, and the end of the last whole record."""
        from tzrec.features.kernels import records as kernels

        has_end = not self.is_last or self.data.endswith((b"\n", b"\r"))
        array = np.frombuffer(self.data if has_end else self.data + b"\n", np.uint8)
        delimiter, quote = ord(self.syntax.delimiter), ord(self.syntax.quote)
        numbers: list[int] | None = None
        at = record = 0
        while True:
            state, begin, opening, close = kernels.next_suspect(array, at, record, delimiter, quote, self.num_cells)
            if state == kernels.ALL_CLOSE:
                self.end = len(self.data) if self.is_last else last_line_break(self.data, opening) or begin
                return
            is_bad = state in (kernels.CLOSES_INSIDE_CELL, kernels.OTHER_WIDTH)
            is_bad = is_bad or (state == kernels.OPEN and self._is_at_end(opening))
            if (
                not is_bad
                and self._is_row(begin, opening)
                and kernels.count_rows(array, opening, close, delimiter, quote, self.num_cells)[1]
            ):
                numbers = self._number_columns() if numbers is None else numbers
                is_bad = self._are_rows(opening, close, numbers)
            if is_bad:
                at = record = line_end(self.data, opening)
                self._add_open_quote(begin, at, opening, close if state != kernels.OPEN else None)
            elif state == kernels.OPEN:
                self.end = begin
                return
            else:
                at, record = close + 1, begin

    def _is_at_end(self, opening: int) -> bool:
        return self.is_last or len(self.data) - opening > MAX_QUOTED_BYTES

    def _is_row(self, begin: int, opening: int) -> bool:
        """True if the line of a quote, read as if the quote were an ordinary character, has the cells of a row."""
        before = len(self.syntax.split(self.data[begin:opening])) - 1 if opening > begin else 0
        rest = self.data[opening : line_end(self.data, opening)]
        return before + 1 + rest.count(self.syntax.delimiter.encode()) == self.num_cells

    def _are_rows(self, opening: int, stop: int, numbers: Sequence[int]) -> bool:
        """True if most of the lines inside of a quoted cell look like rows."""
        from tzrec.features.kernels.records import LINES_TO_COMPARE

        lines = [line for line in first_lines(self.data, opening, stop, LINES_TO_COMPARE + 1)[1:] if line]
        rows = [cells for line in lines if len(cells := self.syntax.split(line)) == self.num_cells]
        alike = [row for row in rows if self._has_numbers(row, numbers)]
        return len(alike) >= (1 if numbers else _ROWS_WITHOUT_NUMBERS) and 2 * len(alike) > len(lines)

    def _has_numbers(self, cells: Sequence[str], numbers: Sequence[int]) -> bool:
        present = [cells[column] for column in numbers if not self._is_null(cells[column])]
        return all(map(is_number, present)) and bool(present or not numbers)

    def _number_columns(self) -> list[int]:
        """The columns that hold numbers, by the first records, or by the first lines if quotes leave no record."""
        head = self.data[: next(islice(self._line_ends(), _NUM_SAMPLED, None), len(self.data))]
        starts, ends, cells = find_records(head, self.syntax, ())
        starts, ends = starts[cells == self.num_cells], ends[cells == self.num_cells]
        records = [head[start:end] for start, end in zip(starts, ends, strict=True)]
        rows = [self.syntax.split(text) for text in records or first_lines(head, 0, len(head), _NUM_SAMPLED)]
        columns = zip(*(row for row in rows if len(row) == self.num_cells), strict=True)
        present = [[cell for cell in cells if not self._is_null(cell)] for cells in columns]
        return [
            column
            for column, cells in enumerate(present)
            if cells and sum(map(is_number, cells)) >= _NUMBER_SHARE * len(cells)
        ]

    def _line_ends(self) -> Iterator[int]:
        at = 0
        while at < len(self.data):
            at = line_end(self.data, at)
            yield at

    def _is_null(self, cell: str) -> bool:
        return not cell or cell in self.null_values

    def _add_open_quote(self, begin: int, end: int, opening: int, close: int | None) -> None:
        detail = "the quote that opens this cell never closes"
        if close is not None:
            lines = count_lines(self.data[opening:close])
            detail = f"the quote that opens this cell closes {lines:,} lines later and takes in rows"
        self.bad.append(BadLine(begin, end, opening, OPEN_QUOTE, detail, begin_of(self.data[opening:end])))

    def _add_wrong_cells(self, begin: int, end: int, num_cells: int) -> None:
        detail = f"{num_cells} cells where {self.num_cells} are expected"
        record = self.data[begin:end]
        if num_cells == self.num_cells + 1 and record.endswith(self.syntax.delimiter.encode()):
            detail += ", for the line ends in a delimiter"
        self.bad.append(BadLine(begin, end, begin, WRONG_CELLS, detail, begin_of(record)))


def find_records(
    data: bytes, syntax: TextSyntax, left_out: Sequence[tuple[int, int]]
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Find the records of a text outside of the parts left out: starts, ends and numbers of cells, each `(R,)`."""
    from tzrec.features.kernels import records as kernels

    begins, ends = np.array(left_out, np.int64).reshape(-1, 2).T
    quote = ord(syntax.quote) if syntax.quote else kernels.NO_QUOTE
    array = np.frombuffer(data, np.uint8)
    records: tuple[Int64Array, Int64Array, Int64Array] = kernels.find_records(
        array, ord(syntax.delimiter), quote, np.ascontiguousarray(begins), np.ascontiguousarray(ends)
    )
    return records


def is_number(cell: str) -> bool:
    """True if a cell is written as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
