"""Kernels over delimited text, compared to their reference and to Arrow's parser on random text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as pacsv

from tests.features.reference import records as reference
from tzrec.features.kernels import records

many = settings(max_examples=300, deadline=None)
content = st.lists(st.sampled_from([b"a", b"7", b",", b",", b'"', b'""', b"\n", b"\r", b"\r\n", b'"a,7"']), max_size=30)
text = content.map(b"".join)
NONE = np.empty(0, np.int64)


def as_bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def found(data: bytes, quote: int = ord('"')) -> list[tuple[int, ...]]:
    starts, ends, cells = records.find_records(as_bytes(data), ord(","), quote, NONE, NONE)
    return list(zip(starts.tolist(), ends.tolist(), cells.tolist(), strict=True))


@many
@given(text)
def test_find_records_equals_reference(data: bytes) -> None:
    assert found(data) == reference.find_records(data, b",", b'"')
    assert found(data, records.NO_QUOTE) == reference.find_records(data, b",", None)


@many
@given(text, st.data())
def test_find_records_leaves_out_parts(data: bytes, draw: st.DataObject) -> None:
    all_records = reference.find_records(data, b",", b'"')
    some = draw.draw(st.lists(st.booleans(), min_size=len(all_records), max_size=len(all_records)))
    parts = [(start, end) for (start, end, _), is_out in zip(all_records, some, strict=True) if is_out]
    begins, stops = np.array(parts, np.int64).reshape(-1, 2).T
    starts, _, _ = records.find_records(
        as_bytes(data), ord(","), ord('"'), np.ascontiguousarray(begins), np.ascontiguousarray(stops)
    )
    expected = [start for (start, _, _), is_out in zip(all_records, some, strict=True) if not is_out]
    assert starts.tolist() == expected


@many
@given(text, st.integers(1, 3))
def test_next_suspect_equals_reference(data: bytes, cells: int) -> None:
    got = records.next_suspect(as_bytes(data), 0, 0, ord(","), ord('"'), cells)
    assert got == reference.next_suspect(data, b",", b'"', cells)


@many
@given(text)
def test_find_records_agrees_with_arrow(data: bytes) -> None:
    """Arrow accepts text without open quotes if, and only if, all records have the same number of cells."""
    if reference.next_suspect(data, b",", b'"', 0)[0] == records.OPEN or not data.strip(b"\r\n"):
        return
    cells = {cells for _, _, cells in found(data)}
    names = [str(index) for index in range(max(cells))]
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(use_threads=False, column_names=names),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
        )
    except pa.ArrowInvalid:
        assert len(cells) > 1
        return
    assert len(cells) == 1
    assert table.num_rows == len(found(data))


def test_next_suspect_states() -> None:
    def state(data: bytes) -> tuple[int, ...]:
        return tuple(records.next_suspect(as_bytes(data), 0, 0, ord(","), ord('"'), 2))

    assert state(b'a,"b"\n5" disc,c\n') == (records.ALL_CLOSE, 0, 0, 0)
    assert state(b'x,y\na,"two\nlines"\n') == (records.ALL_CLOSE, 4, 17, 0)
    assert state(b'x,y\n"12 monkeys,b\n1,2\n') == (records.OPEN, 4, 4, 22)
    assert state(b'x,y\na,"12 monkeys\nb,"13 ghosts"\n') == (records.CLOSES_INSIDE_CELL, 4, 6, 20)
    assert state(b'x,y\na,"12 monkeys\nb,c\nb,twelve"\n') == (records.SPANS_LINES, 4, 6, 30)
    assert state(b'x,y\na,"12 monkeys\ntwelve",c,d\n') == (records.OTHER_WIDTH, 4, 6, 24)


lines = st.lists(st.sampled_from([b"a,7", b"7,", b'"a,7",7', b'7,"a""b"', b"long_word_,-+-,7", b"a,b"]), max_size=12)


@many
@given(
    st.one_of(
        text, st.tuples(lines, st.sampled_from([b"\n", b"\r", b"\r\n"])).map(lambda drawn: drawn[1].join(drawn[0]))
    ),
    st.integers(1, 3),
    st.integers(0, 20),
    st.integers(1, 20),
)
def test_scan_lines_equals_reference(data: bytes, cells: int, offset: int, step: int) -> None:
    for quote in (b'"', None):
        expected = reference.scan_lines(data, b",", quote, cells, b"a,b", offset, step)
        code = ord(quote) if quote else records.NO_QUOTE
        num_lines, starts, numbers = records.scan_lines(
            as_bytes(data), ord(","), code, cells, as_bytes(b"a,b"), offset, step
        )
        assert (num_lines, starts.tolist(), numbers.tolist()) == expected
