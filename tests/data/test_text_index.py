"""Index of text files, held against reading all rows in sequence."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.numbered_rows import make_config, open_loader
from tzrec.data import text_index
from tzrec.data.bad_lines import WRONG_CELLS
from tzrec.data.batch import BASE
from tzrec.data.block_reader import open_streams
from tzrec.data.csv import CsvReader
from tzrec.data.dealing import deal
from tzrec.data.exchange import Exchange
from tzrec.data.text_file import TextSpans
from tzrec.data.text_index import FileIndex, TextIndexer
from tzrec.data.text_scan import PartScan
from tzrec.errors import DataError
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
        reader.make_index(Exchange(rank, num_ranks, gather, lambda: None, bytes), num_threads, block_bytes=16)
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


def lines(count: int, first: int = 0) -> list[bytes]:
    return [b"%d,name %d,%d.5" % (i, i, i) for i in range(first, first + count)]


def text(rows: list[bytes], line_break: bytes = b"\n") -> bytes:
    return line_break.join([b"id,name,price", *rows, b""])


def note(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "tzrec fg" in record.getMessage()]


def test_ranks_scan_their_share_of_a_file(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[tuple[int, int]] = []
    run = PartScan.run

    def record(self: PartScan, *args: Any) -> None:
        run(self, *args)
        scanned.append((self.begin, self.end))

    monkeypatch.setattr(PartScan, "run", record)
    caplog.set_level("INFO", logger="tzrec")
    content = text(lines(200))
    with files(content) as folder:
        readers = indexed_by_ranks(folder, 4)
        assert read(readers[3], 150, 153) == [tuple(line.split(b",")) for line in lines(3, 150)]
    scanned.sort()
    assert [end for _, end in scanned[:-1]] == [begin for begin, _ in scanned[1:]]
    assert (scanned[0][0], scanned[-1][1]) == (len(b"id,name,price\n"), len(content))
    sizes = [end - begin for begin, end in scanned]
    assert len(sizes) == 4
    assert max(sizes) <= len(content) / 4 + 2 * 64
    assert note(caplog) == []


def test_range_reads_only_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    read_part = TextSpans.read

    def record(self: TextSpans, offset: int, size: int) -> bytes:
        parts.append(size)
        return read_part(self, offset, size)

    monkeypatch.setattr(TextSpans, "read", record)
    with files(text(lines(200)), text(lines(200, 200))) as folder:
        (reader,) = indexed_by_ranks(folder, 1)
        starts = reader.block_starts()
        assert starts is not None
        assert (starts[0], starts[-1], len(starts) > 100, np.all(np.diff(starts) > 0)) == (0, 400, True, True)
        assert 200 in starts
        assert read(reader, 300, 310) == [tuple(line.split(b",")) for line in lines(10, 300)]
        assert sum(parts) < 10 * 20 + 3 * 16
        parts.clear()
        assert reader.describe(390).endswith("/001, line 192")
        assert sum(parts) < 64


class CountingStore(LocalFileSystem):
    """Store like S3: a file fetches ranges, by default with much of what is behind them."""

    protocol = "counting"
    cachable = False
    ranges: ClassVar[list[int]] = []

    def open(self, path: str, mode: str = "rb", block_size: int = 50 << 20, **settings: Any) -> Any:
        return CountedFile(self, path, mode, block_size, size=self.info(path)["size"])


class CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        CountingStore.ranges.append(end - start)
        with Path(self.path).open("rb") as stream:
            stream.seek(start)
            return stream.read(end - start)


def test_range_of_a_store_fetches_little_more_than_its_blocks() -> None:
    fsspec.register_implementation("counting", CountingStore, clobber=True)
    config = data_pb2.DataConfig(dataset_type=data_pb2.CsvDataset, with_header=True)
    content = text(lines(200_000))
    with files(content) as folder:
        reader = CsvReader(config, f"counting://{folder}/000")
        reader.make_index()
        starts = reader.block_starts()
        assert starts is not None
        assert len(starts) - 1 == 1 + len(content) // (256 << 10)
        CountingStore.ranges.clear()
        assert len(read(reader, int(starts[3]), int(starts[4]))) == starts[4] - starts[3]
        assert len(CountingStore.ranges) == 1
        assert sum(CountingStore.ranges) <= (256 + 64 + 1) << 10


@pytest.mark.parametrize("num_ranks", [1, 2, 5])
def test_quoted_line_breaks_where_parts_meet_are_found(num_ranks: int, caplog: pytest.LogCaptureFixture) -> None:
    """Such a file is scanned by one rank, with a note; the other one is shared."""
    caplog.set_level("INFO", logger="tzrec")
    rows = [b'%d,"a\nb, c\n1,x\n%s",2.5' % (i, b"long\n" * 10) for i in range(20)]
    with files(text(rows), text(lines(100))) as folder:
        for reader in indexed_by_ranks(folder, num_ranks):
            assert reader.rows_by_file == [20, 100]
            assert read(reader, 19, 21) == [
                (b"19", b"a\nb, c\n1,x\n" + b"long\n" * 10, b"2.5"),
                (b"0", b"name 0", b"0.5"),
            ]
            assert reader.describe(19).endswith(f"/000, line {2 + 19 * 14}")
    messages = note(caplog)
    assert len(messages) == (num_ranks > 2)  # of two, one has the file as its share
    assert all("1 of 2 text files" in message for message in messages)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress], ids=["gz", "bz2"])
def test_compressed_file_is_one_block(compress: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its compression shows in its first bytes, so that ranks notice it while they share it."""
    caplog.set_level("INFO", logger="tzrec")
    rows = [*lines(50), b"1,2", *lines(2950, 50)]
    with files(text(lines(5)), compress(text(rows)), text(lines(5))) as folder:
        for reader in indexed_by_ranks(folder, 3):
            assert reader.rows_by_file == [5, 3000, 5]
            starts = reader.block_starts()
            assert starts is not None
            assert [start for start in starts if 5 <= start <= 3005] == [5, 3005]
            assert read(reader, 2000, 2003, 2) == [tuple(line.split(b",")) for line in lines(3, 1995)]
            assert reader.describe(60).endswith("/001, line 58")
            assert (sum(reader.bad_lines.counts.values()), reader.bad_lines.sample[0][1].line) == (1, 52)
    assert len(note(caplog)) == 1


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 7])
def test_first_bad_line_is_the_error_on_every_rank(num_ranks: int) -> None:
    rows = lines(100)
    rows[70], rows[90] = b"70,b", b"90,b,c,d"
    with files(text(lines(30)), text(rows), text([b"1"])) as folder:
        with pytest.raises(DataError, match=r"/001, line 72: 2 cells where 3 are expected: '70,b'"):
            indexed_by_ranks(folder, num_ranks, bad_row_policy=data_pb2.ERROR)
        for reader in indexed_by_ranks(folder, num_ranks):
            assert reader.bad_lines.counts == {WRONG_CELLS: 3}
            places = [(name[-3:], line.line) for name, line in reader.bad_lines.sample]
            assert places == [("001", 72), ("001", 92), ("002", 2)]
            assert list(reader.read())
            assert reader.bad_lines.counts == {WRONG_CELLS: 3}
            assert reader.select(["id"]).bad_lines == reader.bad_lines


@pytest.mark.parametrize("num_ranks", [1, 2, 4])
def test_error_of_one_rank_is_raised_by_all(num_ranks: int) -> None:
    """One rank reads the file that is cut off."""
    with (
        files(text(lines(100)), gzip.compress(text(lines(9000)))[:-40], text(lines(100))) as folder,
        pytest.raises(DataError, match=r"/001: cannot be read as CSV: Truncated"),
    ):
        indexed_by_ranks(folder, num_ranks)


def test_file_that_changes_after_the_index_is_an_error() -> None:
    with files(text(lines(100)), text(lines(100))) as folder:
        (reader,) = indexed_by_ranks(folder, 1)
        pieces = reader.read(0, None, 10)
        next(pieces)
        with Path(folder, "001").open("ab") as out:
            out.write(b"1,2,3\n")
        assert len(read(reader, 0, 100)) == 100
        with pytest.raises(DataError, match=r"/001: the file changed in size from"):
            read(reader, 150, 151)
        with pytest.raises(DataError, match=r"/001: the file changed in size from"):
            list(pieces)
        assert reader.describe(150).endswith("/001, row 51")


def test_file_that_ranks_see_differently_is_an_error() -> None:
    with files(text(lines(10))) as folder:
        reader = open_files(folder)
        exchange = Exchange(0, 2, lambda value: [value, {**value, "sizes": [7]}], lambda: None, bytes)
        with pytest.raises(DataError, match=r"/000: rank 0 has 144 bytes of it, rank 1 7: all ranks need"):
            reader.make_index(exchange)
        exchange = Exchange(0, 2, lambda value: [value, {**value, "sizes": []}], lambda: None, bytes)
        with pytest.raises(DataError, match="rank 0 has 1 input files, rank 1 0"):
            reader.make_index(exchange)


def test_version_of_a_file_is_indexed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[int] = []
    monkeypatch.setattr(TextIndexer, "_scan_part", scanning(scanned))
    with files(text(lines(10)), text(lines(20))) as folder:
        for _ in range(3):
            reader = open_files(folder)
            reader.make_index()
            assert reader.num_rows == 30
        assert scanned == [0, 1]
        Path(folder, "001").write_bytes(text(lines(21)))
        reader = open_files(folder)
        reader.make_index()
        assert (reader.num_rows, scanned) == (31, [0, 1, 1])
        reader = open_files(folder, quote="")
        reader.make_index()
        assert scanned == [0, 1, 1, 0, 1]


def scanning(scanned: list[int]) -> Any:
    scan_part = TextIndexer._scan_part

    def record(self: TextIndexer, part: Any, *args: Any) -> PartScan:
        scanned.append(part.file)
        return scan_part(self, part, *args)

    return record


def test_indexed_reader_for_file_reads_one_file() -> None:
    with files(text(lines(10)), text([*lines(5), b"1,2", *lines(5, 5)])) as folder:
        (reader,) = indexed_by_ranks(folder, 1)
        second = reader.for_file(1)
        assert (second.num_rows, len(read(second)), second.describe(9)[-8:]) == (10, 10, " line 12")  # type: ignore[arg-type]
        starts = second.block_starts()
        assert starts is not None
        assert (starts[0], starts[-1], second.bad_lines.counts) == (0, 10, {WRONG_CELLS: 1})


@pytest.mark.parametrize(
    "content", [b"", b"id,name,price", b"\xef\xbb\xbfid,name,price\r\n\r\n", b"id,name,price\n1,2\n"]
)
def test_files_without_rows_have_no_blocks(content: bytes) -> None:
    with files(content, text(lines(3)), content) as folder:
        for reader in indexed_by_ranks(folder, 2):
            assert (reader.rows_by_file, len(read(reader))) == ([0, 3, 0], 3)
            starts = reader.block_starts()
            assert starts is not None
            assert (starts[0], starts[-1], np.all(np.diff(starts) > 0)) == (0, 3, True)


def test_blocks_are_smaller_for_less_text() -> None:
    sizes = [text_index._block_bytes(total) for total in (0, 1 << 28, (1 << 28) + 1, 1 << 30, 1 << 40)]
    assert sizes == [256 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20]


def test_ranks_train_the_same_batches_from_blocks_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that hold no row are counted once, on rank 0."""
    monkeypatch.setattr(text_index, "_block_bytes", lambda total: 64)
    text_index._indexes.clear()
    for number, count in enumerate((100, 7, 45)):
        rows = [b"%d,%d,1,0.5" % (uid, uid) for uid in range(1000 * number, 1000 * number + count)]
        content = b"\n".join([b"uid,price,clk,w", *rows[:5], b"bad,line", *rows[5:], b""])
        (tmp_path / f"{number}.csv").write_bytes(content)
    config = make_config("dataset_type: CsvDataset shuffle: true shuffle_buffer_size: 2 bad_row_policy: SKIP_ROW")

    def steps(world_size: int) -> list[set[int]]:
        """Rows of every step of all ranks."""
        rows: list[set[int]] = []
        for rank in range(world_size):
            settings = {"rank": rank, "world_size": world_size, "batch_size": 16 // world_size}
            loader = open_loader(config, f"{tmp_path}/*.csv", **settings)
            for number, batch in enumerate(loader.epoch()):
                rows += [set()] if rank == 0 else []
                uids = batch.sparse[BASE].values().tolist()[: batch.rows]
                assert rows[number].isdisjoint(uids)
                rows[number].update(uids)
            assert sum(loader.bad_value_counts.values()) == (3 if rank == 0 else 0)
        return rows

    expected = steps(1)
    assert len(set().union(*expected)) == 152
    assert [len(step) for step in expected] == [16] * 9 + [8]
    assert steps(2) == steps(8) == expected


def test_error_in_a_block_of_several_streams_is_that_of_each() -> None:
    with files(text(lines(100))) as folder:
        reader = open_files(folder)
        reader.make_index()
        block_starts = reader.block_starts()
        assert block_starts is not None
        streams = open_streams(reader, deal(block_starts, 4), 10)
        Path(folder, "000").write_bytes(b"id,name,price\n")
        for pieces in streams:
            with pytest.raises(DataError, match="/000: the file changed in size from"):
                next(pieces)
