"""Kernels over delimited text: quotes that do not close, and the bounds and cell counts of records.

They read text as Arrow's CSV parser does: a quote opens at the start of a cell only, two quotes inside of a quoted cell
are one, text after the closing quote belongs to the cell, and CR, LF and CR LF end a record outside of quotes.
`tests/features/reference/records.py` holds the same functions in plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tzrec.features.arrays import ByteArray, Int64Array
from tzrec.ops.jit import INT64S, INT64S_OUT, UINT8S, jit, load64

NO_QUOTE = -1
"""In place of the quote where quotes are ordinary characters."""
ALL_CLOSE, OPEN, CLOSES_INSIDE_CELL, SPANS_LINES, OTHER_WIDTH = 0, 1, 2, 3, 4
"""States of `next_suspect`."""
LINES_TO_COMPARE = 20
"""Lines inside of a quoted cell that are compared with rows."""
_NEWLINE, _RETURN = ord("\n"), ord("\r")
_BYTES, _HIGH, _LOW = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)


@jit(types.boolean(types.uint8))
def _ends_line(byte: int) -> Any:
    return byte in (_NEWLINE, _RETURN)


@jit(types.boolean(types.uint8, types.uint8))
def _ends_cell(byte: int, delimiter: int) -> Any:
    return byte == delimiter or _ends_line(byte)


@jit(types.int64(UINT8S, types.int64))
def _next_line(data: ByteArray, at: int) -> Any:
    """Return the position of the first line after the one that contains `at`."""
    size = len(data)
    while at < size and not _ends_line(data[at]):
        at += 1
    is_pair = at + 1 < size and data[at] == _RETURN and data[at + 1] == _NEWLINE
    return min(at + (2 if is_pair else 1), size)


@jit(types.UniTuple(types.int64, 2)(UINT8S, types.int64, types.int64))
def _skip_quoted(data: ByteArray, at: int, quote: int) -> Any:
    """Read a quoted cell from the byte after its opening quote.

    Returns:
        the position of the closing quote, the size of the data if there is none; and the number of line breaks before.
    """
    size = len(data)
    lines = 0
    while at < size:
        byte = data[at]
        if byte == quote:
            if at + 1 == size or data[at + 1] != quote:
                return at, lines
            at += 1
        elif _ends_line(byte):
            lines += 1
        at += 1
    return size, lines


@jit(types.UniTuple(types.int64, 2)(UINT8S, types.int64, types.uint8, types.int64, types.boolean))
def _read_record(data: ByteArray, at: int, delimiter: int, quote: int, is_one_line: bool) -> Any:
    """Read the record that begins at `at`.

    Returns:
        its number of cells, 0 if `is_one_line` and a quoted cell does not close on the line; and the position of its
        line break.
    """
    size = len(data)
    cells = 1
    is_cell_start = True
    while at < size:
        byte = data[at]
        if _ends_line(byte):
            break
        if is_cell_start and byte == quote:
            close, lines = _skip_quoted(data, at + 1, quote)
            if is_one_line and (lines or close == size):
                cells = 0
                while at < size and not _ends_line(data[at]):
                    at += 1
                break
            at = close
        is_cell_start = byte == delimiter
        cells += is_cell_start
        at += 1
    return cells, min(at, size)


@jit(types.UniTuple(types.int64, 2)(UINT8S, types.int64, types.int64, types.uint8, types.int64, types.int64))
def count_rows(data: ByteArray, at: int, stop: int, delimiter: int, quote: int, cells: int) -> Any:
    """Count the lines after the one of `at` that begin before `stop`, and those of them with so many cells.

    Empty lines, a line without an end and lines beyond the first LINES_TO_COMPARE do not count.
    """
    num_lines = num_rows = 0
    at = _next_line(data, at)
    while at < stop and num_lines < LINES_TO_COMPARE:
        num_cells, end = _read_record(data, at, delimiter, quote, True)
        if end == len(data):
            break
        if end > at:
            num_lines += 1
            num_rows += num_cells == cells
        at = _next_line(data, end)
    return num_lines, num_rows


@jit(types.UniTuple(types.int64, 4)(UINT8S, types.int64, types.int64, types.uint8, types.int64, types.int64))
def next_suspect(data: ByteArray, at: int, record: int, delimiter: int, quote: int, cells: int) -> Any:
    """Find the next quoted cell that does not close on its line, and does not look like text of several lines.

    Args:
        data: text that begins with a record.
        at: where to start: the start of a record, or a position after a quoted cell.
        record: start of the record that contains `at`.
        delimiter: between cells.
        quote: around cells.
        cells: number of cells of a record.

    Returns:
        One of
        ALL_CLOSE: all quoted cells are fine. OPEN: it does not close before the end of the data.
        CLOSES_INSIDE_CELL: neither a delimiter nor a line break follows its closing quote.
        SPANS_LINES: it closes properly, but lines in it have as many cells as a record.
        OTHER_WIDTH: it closes properly, but its record has another number of cells.
        Then the start of its record, its opening and its closing quote (or the end of the data); for ALL_CLOSE, the
        start of the record of the last cell of several lines, the position after that cell, and 0.
    """
    size = len(data)
    start = at
    while at < size:
        if data[at] != quote or (at > start and not _ends_cell(data[at - 1], delimiter)):
            at += 1
            continue
        opening = at
        close, lines = _skip_quoted(data, at + 1, quote)
        at = close + 1
        if lines == 0 and close < size:
            continue
        begin = opening
        while begin > start and not _ends_line(data[begin - 1]):
            begin -= 1
        if begin == start:
            begin = record
        if close == size:
            return OPEN, begin, opening, size
        if at < size and not _ends_cell(data[at], delimiter):
            return CLOSES_INSIDE_CELL, begin, opening, close
        if count_rows(data, opening, close, delimiter, quote, cells)[1]:
            return SPANS_LINES, begin, opening, close
        width, end = _read_record(data, begin, delimiter, quote, False)
        if width != cells and end < size:
            return OTHER_WIDTH, begin, opening, close
        start, record = at, begin
    return ALL_CLOSE, record, start, 0


@jit(types.UniTuple(INT64S_OUT, 3)(UINT8S, types.uint8, types.int64, INT64S, INT64S))
def find_records(
    data: ByteArray, delimiter: int, quote: int, left_out_begins: Int64Array, left_out_ends: Int64Array
) -> Any:
    """Find all records; empty lines are none.

    Args:
        data: text that begins with a record.
        delimiter: between cells.
        quote: around cells, or NO_QUOTE.
        left_out_begins: starts of parts of the text that are left out, in order `(N,)`; each begins with a record.
        left_out_ends: their ends `(N,)`.

    Returns:
        starts `(R,)`, the ends without line breaks `(R,)`, and numbers of cells `(R,)`.
    """
    size = len(data)
    capacity = 1
    for byte in data:
        capacity += _ends_line(byte)
    starts, ends, cells = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    num_records = part = at = 0
    while at < size:
        if part < len(left_out_begins) and at == left_out_begins[part]:
            at = left_out_ends[part]
            part += 1
            continue
        num_cells, end = _read_record(data, at, delimiter, quote, False)
        if end > at:
            starts[num_records], ends[num_records], cells[num_records] = at, end, num_cells
            num_records += 1
        at = _next_line(data, end)
    return starts[:num_records].copy(), ends[:num_records].copy(), cells[:num_records].copy()


@jit(types.boolean(UINT8S, types.int64, types.int64, UINT8S))
def _is_equal(data: ByteArray, begin: int, end: int, line: ByteArray) -> Any:
    """Return true if a part of the data is equal to a line."""
    if end - begin != len(line):
        return False
    at = 0
    while at < len(line) and data[begin + at] == line[at]:
        at += 1
    return at == len(line)


@jit(types.UniTuple(types.int64, 2)(UINT8S, types.int64, types.uint8))
def _skip_to_line_end(data: ByteArray, at: int, delimiter: int) -> Any:
    """Return the position of the next line break, or the size of the data, and the number of delimiters before it.

    Eight bytes at a time, of which bit 7 of each marks a match: of delimiters all, of line breaks the first one.
    """
    size = len(data)
    delimiters, newlines, returns = _BYTES * delimiter, _BYTES * np.uint64(_NEWLINE), _BYTES * np.uint64(_RETURN)
    count = 0
    while at + 8 <= size:
        word = load64(data, at)
        is_newline, is_return, rest = word ^ newlines, word ^ returns, word ^ delimiters
        ends = ((is_newline - _BYTES) & ~is_newline | (is_return - _BYTES) & ~is_return) & _HIGH
        matches = ~(((rest & _LOW) + _LOW) | rest | _LOW)
        if ends:
            before = (ends & (~ends + np.uint64(1))) - np.uint64(1)
            count += types.int64((((matches & before) >> np.uint64(7)) * _BYTES) >> np.uint64(56))
            return at + types.int64((((before & _HIGH) >> np.uint64(7)) * _BYTES) >> np.uint64(56)), count
        count += types.int64(((matches >> np.uint64(7)) * _BYTES) >> np.uint64(56))
        at += 8
    while at < size and not _ends_line(data[at]):
        count += data[at] == delimiter
        at += 1
    return at, count


@jit(
    types.Tuple((types.int64, INT64S_OUT, INT64S_OUT))(
        UINT8S, types.uint8, types.int64, types.int64, UINT8S, types.int64, types.int64
    )
)
def scan_lines(
    data: ByteArray, delimiter: int, quote: int, cells: int, names: ByteArray, offset: int, step: int
) -> Any:
    """Check that every line is a record, with every quoted cell on one line, and find the starts of some lines.

    Args:
        data: text that begins with a record.
        delimiter: between cells.
        quote: around cells, or NO_QUOTE.
        cells: number of cells of a record.
        names: a line that is no record; empty for none.
        offset: number of bytes before the text.
        step: the first line is listed that starts at or after each multiple of so many bytes, counted with `offset`.

    Returns:
        the number of lines, -1 if one of them is no such record; the starts in the text of the lines listed, the first
        line not included; and the numbers of lines before them.
    """
    size = len(data)
    starts, numbers = np.empty(size // step + 2, np.int64), np.empty(size // step + 2, np.int64)
    num_lines = num_starts = at = begin = 0
    width = 1
    next_start = (offset // step + 1) * step - offset
    while at < size:
        if quote == NO_QUOTE:
            at, more = _skip_to_line_end(data, at, delimiter)
            width += more
            if at == size:
                break
        byte = data[at]
        if byte == delimiter:
            width += 1
        elif _ends_line(byte):
            if width != cells or at == begin or _is_equal(data, begin, at, names):
                return -1, starts[:0].copy(), numbers[:0].copy()
            if byte == _RETURN and at + 1 < size and data[at + 1] == _NEWLINE:
                at += 1
            num_lines += 1
            begin, width = at + 1, 1
            if next_start <= begin < size:
                starts[num_starts], numbers[num_starts] = begin, num_lines
                num_starts += 1
                next_start = ((offset + begin) // step + 1) * step - offset
        elif byte == quote and (at == begin or data[at - 1] == delimiter):
            close, lines = _skip_quoted(data, at + 1, quote)
            if lines or close == size:
                return -1, starts[:0].copy(), numbers[:0].copy()
            at = close
        at += 1
    if begin < size:  # the last line has no line break
        if width != cells or _is_equal(data, begin, size, names):
            return -1, starts[:0].copy(), numbers[:0].copy()
        num_lines += 1
    return num_lines, starts[:num_starts].copy(), numbers[:num_starts].copy()
