"""Index of text files, held against reading all rows in sequence."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tzrec.data import text_index
from tzrec.data.csv import CsvReader
from tzrec.data.exchange import Exchange
from tzrec.data.text_index import FileIndex
from tzrec.protos import data_pb2

Rows = list[tuple[str | None, ...]]

PLAIN = [b"1,a,2.5", b"22,bb,0", b",,", b'3,"x,y",1', b'4,"say ""so""",', b'5,"",7', b"6,caf\xe9,8"]
ODD = [b"", b"only,two", b"1,2,3,4", b"id,name,price", b'7,"two{}lines",1', b'8,"a{}b{}{}c",2', b'9,un"quoted,3']
OPEN = [b'1,"open,5', b'12" disc,2,3', b'"x,1,2']
LINE_BREAKS = [b"\n", b"\r\n", b"\r"]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Draw a file: mostly rows, with lines that need a closer look."""
    kinds = draw(st.sampled_from([PLAIN, PLAIN * 3 + ODD, PLAIN + ODD * 2, PLAIN * 3 + ODD + OPEN]))
    breaks = draw(st.sampled_from([*([line_break] for line_break in LINE_BREAKS), LINE_BREAKS]))
    lines = draw(st.lists(st.sampled_from(kinds), max_size=30))
    header = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\n"])) + b"id,name,price"
    parts = [header]
    for line in lines:
        parts += [draw(st.sampled_from(breaks)), line.replace(b"{}", draw(st.sampled_from(breaks)))]
    return b"".join(parts) + draw(st.sampled_from([b"", *breaks]))


def open_files(folder: Path, **settings: Any) -> CsvReader:
    config = data_pb2.DataConfig(
        **{"dataset_type": data_pb2.CsvDataset, "with_header": True, "bad_row_policy": data_pb2.SKIP_ROW, **settings}
    )
    return CsvReader(config, f"{folder}/*", chunk_bytes=64)


def read(reader: CsvReader, start: int = 0, stop: int | None = None, piece_rows: int = 1 << 20) -> Rows:
    """Return the rows of a range, and check that the pieces are contiguous and of the right size."""
    rows: Rows = []
    for piece in reader.read(start, stop, piece_rows):
        assert piece.first == start + len(rows)
        assert 0 < piece.batch.num_rows <= piece_rows
        columns = [column.view("binary").to_pylist() for column in piece.batch.columns]
        rows += zip(*columns, strict=True)
    return rows


@contextmanager
def files(*contents: bytes) -> Iterator[Path]:
    """Write files into a folder."""
    with TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            Path(folder, f"{number:03}").write_bytes(content)
        yield Path(folder)


def indexed_by_ranks(folder: Path, num_ranks: int, num_threads: int = 1, **settings: Any) -> list[CsvReader]:
    """Index the files on several ranks, which are threads; none of them has an index yet."""
    text_index._indexes.clear()
    values: list[Any] = [None] * num_ranks
    barrier = Barrier(num_ranks, timeout=20)

    def run(rank: int) -> CsvReader:
        def gather(value: Any) -> list[Any]:
            values[rank] = value
            barrier.wait()
            result = list(values)
            barrier.wait()
            return result

        reader = open_files(folder, **settings)
        try:
            reader.make_index(Exchange(rank, num_ranks, gather, lambda: None, bytes), num_threads, block_bytes=16)
        except BaseException:
            barrier.abort()
            raise
        return reader

    with ThreadPoolExecutor(num_ranks) as pool:
        futures = [pool.submit(run, rank) for rank in range(num_ranks)]
        return [future.result() for future in futures]


def as_text(index: FileIndex) -> str:
    return repr(index)


@settings(max_examples=120, deadline=None)
@given(st.lists(texts(), min_size=1, max_size=3), st.data())
def test_range_of_index_equals_slice_of_all_rows(contents: list[bytes], data: st.DataObject) -> None:
    with files(*contents) as folder:
        in_sequence = open_files(folder)
        expected = read(in_sequence)
        text_index._indexes.clear()
        reader = open_files(folder)
        reader.make_index(block_bytes=16)
        assert reader.num_rows == reader.count() == len(expected)
        assert sum(reader.rows_by_file or ()) == len(expected)
        assert read(reader) == expected
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(expected))] * 2)))
        assert read(reader, start, stop, data.draw(st.integers(1, 40))) == expected[start:stop]
        assert reader.bad_lines == in_sequence.bad_lines
        for row in range(len(expected)):
            assert (reader.describe(row), reader.locate(row)) == (in_sequence.describe(row), in_sequence.locate(row))


@settings(max_examples=60, deadline=None)
@given(st.lists(texts(), min_size=1, max_size=3), st.integers(2, 5), st.integers(1, 2))
def test_index_of_several_ranks_equals_that_of_one(contents: list[bytes], num_ranks: int, num_threads: int) -> None:
    with files(*contents) as folder:
        (alone,) = indexed_by_ranks(folder, 1)
        for reader in indexed_by_ranks(folder, num_ranks, num_threads):
            assert as_text(reader._indexes) == as_text(alone._indexes)
            assert reader.bad_lines == alone.bad_lines
