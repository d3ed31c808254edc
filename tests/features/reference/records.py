"""The kernels over delimited text in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tzrec.features.kernels.records import (
    ALL_CLOSE,
    CLOSES_INSIDE_CELL,
    LINES_TO_COMPARE,
    OPEN,
    OTHER_WIDTH,
    SPANS_LINES,
)

BREAKS = (b"\n", b"\r")


def at(data: bytes, index: int) -> bytes:
    """Return one byte, b"" outside of the data."""
    return data[index : index + 1] if index >= 0 else b""


def next_line(data: bytes, index: int) -> int:
    """Return the position of the first line after the one that contains `index`."""
    while index < len(data) and at(data, index) not in BREAKS:
        index += 1
    return min(index + (2 if data[index : index + 2] == b"\r\n" else 1), len(data))


def closing_quote(data: bytes, opening: int, quote: bytes) -> int:
    """Return the position of the quote that closes a cell, the size of the data if there is none."""
    index = opening + 1
    while (index := data.find(quote, index)) >= 0:
        if at(data, index + 1) != quote:
            return index
        index += 2
    return len(data)


def read_record(data: bytes, index: int, delimiter: bytes, quote: bytes | None) -> tuple[int, int]:
    """Return the number of cells of a record, and the position of its line break."""
    cells, is_cell_start = 1, True
    while index < len(data) and at(data, index) not in BREAKS:
        if is_cell_start and at(data, index) == quote:
            index, is_cell_start = closing_quote(data, index, quote) + 1, False
            continue
        is_cell_start = at(data, index) == delimiter
        cells += is_cell_start
        index += 1
    return cells, min(index, len(data))


def find_records(
    data: bytes, delimiter: bytes, quote: bytes | None, left_out: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int, int]]:
    """List start, end and number of cells of every record that is not empty."""
    records, index, ends = [], 0, dict(left_out)
    while index < len(data):
        if index in ends:
            index = ends[index]
            continue
        cells, end = read_record(data, index, delimiter, quote)
        if end > index:
            records.append((index, end, cells))
        index = next_line(data, end)
    return records


def count_rows(data: bytes, opening: int, stop: int, delimiter: bytes, quote: bytes, cells: int) -> tuple[int, int]:
    """Count the lines inside of a quoted cell, and those of them that have the cells of a row."""
    lines = rows = 0
    index = next_line(data, opening)
    while index < stop and lines < LINES_TO_COMPARE:
        end = index
        while end < len(data) and at(data, end) not in BREAKS:
            end += 1
        if end == len(data):
            break
        found, stop_of_record = read_record(data[:end], index, delimiter, quote)
        is_open = read_record(data[:end] + delimiter, index, delimiter, quote)[0] == found
        if end > index:
            lines += 1
            rows += found == cells and stop_of_record == end and not is_open
        index = next_line(data, end)
    return lines, rows


def next_suspect(data: bytes, delimiter: bytes, quote: bytes, cells: int) -> tuple[int, int, int, int]:
    """Find the first quoted cell that looks as if it did not close, by reading every record from its start."""
    begin, after = 0, 0
    start = 0
    while start < len(data):
        index, is_cell_start = start, True
        while index < len(data) and at(data, index) not in BREAKS:
            if is_cell_start and at(data, index) == quote:
                close = closing_quote(data, index, quote)
                if close == len(data):
                    return OPEN, start, index, close
                if any(byte in data[index:close] for byte in BREAKS):
                    if at(data, close + 1) not in (delimiter, *BREAKS, b""):
                        return CLOSES_INSIDE_CELL, start, index, close
                    if count_rows(data, index, close, delimiter, quote, cells)[1]:
                        return SPANS_LINES, start, index, close
                    width, end = read_record(data, start, delimiter, quote)
                    if width != cells and end < len(data):
                        return OTHER_WIDTH, start, index, close
                    begin, after = start, close + 1
                index, is_cell_start = close + 1, False
                continue
            is_cell_start = at(data, index) == delimiter
            index += 1
        start = next_line(data, index)
    return ALL_CLOSE, begin, after, 0


def scan_lines(
    data: bytes, delimiter: bytes, quote: bytes | None, cells: int, names: bytes, offset: int, step: int
) -> tuple[int, list[int], list[int]]:
    """Count the lines if each is a record of so many cells, and list the first start in each step of the file."""
    starts = [0]
    while starts[-1] < len(data):
        starts.append(next_line(data, starts[-1]))
    for start, after in pairwise(starts):
        line = data[start:after].rstrip(b"\r\n")
        found, end = read_record(data, start, delimiter, quote)
        is_open = end == len(data) and read_record(data + delimiter, start, delimiter, quote)[0] == found
        if line == names or not line or found != cells or end != start + len(line) or is_open:
            return -1, [], []
    first_by_step: dict[int, int] = {}
    for number, start in enumerate(starts[:-1]):
        if number and (offset + start) // step > (offset + starts[number - 1]) // step:
            first_by_step[(offset + start) // step] = number
    numbers = list(first_by_step.values())
    return len(starts) - 1, [starts[number] for number in numbers], numbers
