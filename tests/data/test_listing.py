"""Listing of input files: found by rank 0, sent to the others, and kept while the files stay as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import table
from tzrec.data.exchange import Exchange
from tzrec.data.footers import FooterCache
from tzrec.data.listing import FileListing, TableVersion
from tzrec.data.parquet import ParquetFormat, ParquetReader
from tzrec.data.reader import Reader, open_reader
from tzrec.errors import DataError
from tzrec.protos import data_pb2

CONFIG = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are opened, from now on."""
    names: list[str] = []
    format_open = ParquetFormat.open

    def counted(self: ParquetFormat, file: Any, metadata: Any = None) -> Any:
        names.append(Path(file.name).name)
        return format_open(self, file, metadata)

    monkeypatch.setattr(ParquetFormat, "open", counted)
    return names


def on_two_ranks(open_rank: Callable[[Exchange], Reader]) -> tuple[Any, Any]:
    """Run rank 0 and then rank 1, whose broadcast returns what rank 0 has sent; each returns a reader or an error."""
    sent: Queue[bytes] = Queue()

    def send(data: bytes) -> bytes:
        sent.put(data)
        return data

    def attempt(rank: int, broadcast: Callable[[bytes], bytes]) -> Any:
        try:
            return open_rank(Exchange(rank, 2, lambda value: [value], lambda: None, broadcast))
        except DataError as error:
            return error

    return attempt(0, send), attempt(1, lambda data: sent.get(timeout=5))


def uids(reader: Reader) -> list[int]:
    return [uid for piece in reader.read() for uid in piece.batch["uid"].to_pylist()]


def test_footers_are_read_by_rank_0_alone_and_once_per_process(
    write: Write, opens: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([9, 0, 6])
    first, second = on_two_ranks(lambda exchange: open_reader(CONFIG, path, ["uid"], exchange))
    assert sorted(opens) == ["part-00.parquet", "part-01.parquet", "part-02.parquet"]
    assert second.files == first.files
    assert second.block_starts().tolist() == first.block_starts().tolist() == [0, 5, 9, 14, 15]
    assert uids(second) == uids(first) == list(range(15))
    opens.clear()
    open_reader(CONFIG, path, ["price"])
    assert opens == []
    os.utime(tmp_path / "part-02.parquet", ns=(0, 0))
    open_reader(CONFIG, path)
    assert opens == ["part-02.parquet"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "part-01.parquet").write_bytes(b"no"), "part-01.parquet: cannot be read as Parquet"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], 'no file matches ".*part-'),
    ],
)
def test_error_of_rank_0_is_the_error_of_all_ranks(break_it: Any, message: str, write: Write, tmp_path: Path) -> None:
    path = write([3, 3])
    break_it(tmp_path)
    errors = on_two_ranks(lambda exchange: open_reader(CONFIG, path, ["uid"], exchange))
    assert [type(error) for error in errors] == [DataError, DataError]
    assert str(errors[0]) == str(errors[1])
    with pytest.raises(DataError, match=message):
        raise errors[1]


def test_listing_of_text_files_is_that_of_rank_0(write: Write) -> None:
    config = data_pb2.DataConfig(dataset_type=data_pb2.CsvDataset, with_header=True)
    path = write([3, 4], "csv")
    first, second = on_two_ranks(lambda exchange: open_reader(config, path, ["uid"], exchange))
    assert (second.files, uids(second)) == (first.files, uids(first))


def test_listing_survives_encoding(tmp_path: Path) -> None:
    (tmp_path / "dt=2024/hour=__HIVE_DEFAULT_PARTITION__").mkdir(parents=True)
    for number in range(3):
        columns = {"x": list(range(number)), "ü": [["a"]] * number} if number else {"x": pa.array([], pa.int32())}
        pq.write_table(pa.table(columns), tmp_path / f"dt=2024/hour=__HIVE_DEFAULT_PARTITION__/{number}.parquet")
    reader = ParquetReader(CONFIG, str(tmp_path), ["x"])
    listing = reader._listing
    schema = pa.schema([pa.field("x", pa.int64(), metadata={"PARQUET:field_id": "1"})])
    tables = [TableVersion("a", "a@v1", 3, schema)]
    copy = FileListing.from_bytes(FileListing(listing.files, listing.footers, tables).to_bytes())
    assert copy.files == listing.files and copy.tables == tables
    assert copy.tables[0].schema.equals(schema, check_metadata=True)
    assert [file.partitions for file in copy.files] == [(("dt", "2024"), ("hour", None))] * 3
    assert [file.listed for file in copy.files] == [file.listed for file in listing.files]
    for footer, original in zip(copy.footers, listing.footers, strict=True):
        assert footer.schema.equals(original.schema)
        assert (footer.block_rows.tolist(), footer.version) == (original.block_rows.tolist(), original.version)
    assert copy.footers[1].schema is copy.footers[2].schema


def test_listing_of_remote_files_is_compact_and_asks_for_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    buffer = pa.BufferOutputStream()
    pq.write_table(table(2), buffer)
    for number in range(200):
        memory.pipe_file(f"/tzrec_listing/dt=2024-05-01/part-{number:05d}.parquet", buffer.getvalue().to_pybytes())
    stats: list[str] = []
    info = type(memory).info
    monkeypatch.setattr(type(memory), "info", lambda self, path, **_: stats.append(path) or info(self, path))
    reader = ParquetReader(CONFIG, "memory://tzrec_listing", ["uid"])
    assert len(reader.files) == 200
    assert len(stats) <= 600  # the opens and the sizes of open files, none for the listing
    data = reader._listing.to_bytes()
    assert len(data) < 200 * 40
    copy = FileListing.from_bytes(data)
    assert copy.files[7].name == "memory://tzrec_listing/dt=2024-05-01/part-00007.parquet"
    assert copy.files[0].filesystem is copy.files[199].filesystem
    memory.rm("/tzrec_listing", recursive=True)


def test_cache_forgets_the_footers_used_least_recently(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tzrec.data.footers._MAX_FOOTERS", 2)
    reader = ParquetReader(CONFIG, write([1, 2, 3]))
    cache = FooterCache()
    for file, footer in zip(reader.files[:2], reader._listing.footers):
        cache.add("Parquet", file.name, footer)
    names = [file.name for file in reader.files]
    footers = reader._listing.footers
    assert cache.find("Parquet", names[0], footers[0].version) is footers[0]
    assert cache.find("ORC", names[0], footers[0].version) is None
    assert cache.find("Parquet", names[0], footers[1].version) is None
    cache.add("Parquet", names[2], footers[2])
    assert cache.find("Parquet", names[1], footers[1].version) is None
    assert cache.find("Parquet", names[0], footers[0].version) is footers[0]
