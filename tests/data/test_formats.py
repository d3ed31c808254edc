"""Columnar formats: equal values, ranges, types, and files that are broken or in another format."""

from __future__ import annotations

import pickle
from itertools import zip_longest
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, orc

from tests.fixtures.numbered_rows import table
from tzrec.data import columnar_format
from tzrec.data.columnar_format import FilePool
from tzrec.data.formats import COLUMNAR
from tzrec.data.formats import columnar_format as format_by_bytes
from tzrec.data.orc import stripe_rows
from tzrec.data.reader import Reader, open_reader
from tzrec.errors import DataError
from tzrec.features.column_types import decode, decoded_type
from tzrec.protos import data_pb2

KINDS = {item.dataset_type: item for item in COLUMNAR}
ALL = pytest.mark.parametrize("kind", list(KINDS))


def opened(kind: str, path: object, columns: list[str] | None = None, **data: Any) -> Reader:
    return open_reader(data_pb2.DataConfig(dataset_type=getattr(data_pb2, kind), **data), str(path), columns)


def write(kind: str, rows: pa.Table, path: Path, block_rows: int = 1 << 20) -> None:
    """Write a file with blocks of a number of rows; ORC has at least 2,048 a stripe where it has more than one."""
    if kind == "ParquetDataset":
        pq.write_table(rows, path, row_group_size=block_rows)
    elif kind == "OrcDataset":
        orc.write_table(rows, path, stripe_size=1 if block_rows < rows.num_rows else 1 << 30, batch_size=block_rows)
    else:
        with pa.ipc.new_file(path, rows.schema) as writer:
            writer.write_table(rows, block_rows)


def rows_of(reader: Reader, *bounds: int) -> list[dict[str, Any]]:
    return [row for piece in reader.read(*bounds) for row in piece.batch.to_pylist()]


TYPES: dict[str, pa.Array] = {
    "bool": pa.array([True, None, False]),
    "int8": pa.array([1, None, -3], pa.int8()),
    "int16": pa.array([1, None, -3], pa.int16()),
    "int32": pa.array([1, None, -3], pa.int32()),
    "int64": pa.array([1 << 62, None, -3]),
    "uint8": pa.array([255, None, 0], pa.uint8()),
    "uint16": pa.array([65535, None, 0], pa.uint16()),
    "uint32": pa.array([1 << 31, None, 0], pa.uint32()),
    "uint64": pa.array([1 << 63, None, 0], pa.uint64()),
    "decimal": pa.array([12, None, -3], pa.decimal128(20, 0)),
    "fraction": pa.array([12, None, -3], pa.decimal128(9, 2)),
    "wide": pa.array([10**50, None, -3], pa.decimal256(60, 0)),
    "float16": pa.array(np.array([0.5, 2, -3], np.float16)),
    "float32": pa.array([0.5, None, -3], pa.float32()),
    "float64": pa.array([0.1, None, float("nan")]),
    "string": pa.array(["a", None, "ü"]),
    "large_string": pa.array(["a", None, "ü"], pa.large_string()),
    "string_view": pa.array(["a", None, "a text that is not inlined"], pa.string_view()),
    "list": pa.array([[1, None], None, []], pa.list_(pa.int64())),
    "large_list": pa.array([["a", None], None, []], pa.large_list(pa.string())),
    "fixed_list": pa.array([[0.5, 1], [2, 3], [4, 5]], pa.list_(pa.float32(), 2)),
    "list_view": pa.array([[1, None], None, []], pa.list_view(pa.int64())),
    "nested": pa.array([[["a"], None], None, []], pa.list_(pa.list_(pa.string()))),
    "map": pa.array([[("a", 0.5)], None, []], pa.map_(pa.string(), pa.float32())),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "dictionary_of_integers": pa.array([7, None, 7]).dictionary_encode(),
    "run_end": pa.RunEndEncodedArray.from_arrays([1, 3], ["a", "b"]),
    "struct": pa.array([{"a": 1}, None, {"a": None}]),
    "date": pa.array([1, None, 3], pa.date32()),
    "timestamp": pa.array([1, None, 3], pa.timestamp("ms")),
    "binary": pa.array([b"a", None, b"\xff"]),
    "null": pa.nulls(3),
}
LACKING = {
    "OrcDataset": {
        *("uint8", "uint16", "uint32", "uint64", "wide", "float16", "string_view", "list_view", "run_end", "null"),
        *("dictionary", "dictionary_of_integers"),
    },
    "ParquetDataset": {"run_end"},
    "ArrowDataset": set(),
}
"""Types that pyarrow does not write in a format."""


@ALL
@pytest.mark.parametrize("name", list(TYPES))
def test_values_of_all_types_are_equal_in_every_format(kind: str, name: str, tmp_path: Path) -> None:
    values = pa.table({"x": TYPES[name], "row": [0, 1, 2]})
    if name in LACKING[kind]:
        with pytest.raises((pa.ArrowException, TypeError)):
            write(kind, values, tmp_path / "a")
        return
    write(kind, values, tmp_path / "a")
    (piece,) = opened(kind, tmp_path / "a", ["row", "x"]).read()
    assert piece.batch["row"].to_pylist() == [0, 1, 2]
    expected = decode(TYPES[name])
    read = piece.batch["x"]
    if name == "timestamp":  # nanoseconds of ORC are values of pandas where that is installed
        read, expected = read.cast(pa.timestamp("us")), expected.cast(pa.timestamp("us"))
    assert str(read.to_pylist()) == str(expected.to_pylist())
    is_typeless = pa.types.is_null(expected.type)
    assert read.type == (pa.string() if is_typeless else decoded_type(read.type))
    if kind != "OrcDataset" and not is_typeless:
        assert read.type == decoded_type(expected.type) or pa.types.is_list(read.type)


@ALL
def test_files_without_rows_or_columns_are_read_with_others(kind: str, tmp_path: Path) -> None:
    for number, rows in enumerate([0, 3, 0, 2]):
        write(kind, table(rows, 10 * number), tmp_path / f"{number}")
    reader = opened(kind, f"{tmp_path}/*", ["uid"])
    assert (reader.num_rows, reader.rows_by_file) == (5, [0, 3, 0, 2])
    assert [int(row["uid"]) for row in rows_of(reader)] == [10, 11, 12, 30, 31]
    no_columns = [piece.batch for piece in reader.select([]).read(1, 4, 2)]
    assert [(batch.num_rows, batch.num_columns) for batch in no_columns] == [(2, 0), (1, 0)]
    empty = opened(kind, tmp_path / "0", ["uid"])
    assert (empty.num_rows, rows_of(empty)) == (0, [])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Reader, list[int]]]:
    """Readers of three files in each format, and the numbers of their rows; ORC makes stripes of 2,048 rows."""
    readers = {}
    for kind in KINDS:
        folder, first = tmp_path_factory.mktemp(kind), 0
        for number, rows in enumerate([7000, 0, 5000]):
            uid, text = range(first, first + rows), [f"t{row}" for row in range(rows)]
            values = pa.table({"uid": pa.array(uid, pa.int64()), "text": pa.array(text, pa.string())})
            write(kind, values, folder / f"{number}", 2048)
            first += rows
        readers[kind] = opened(kind, f"{folder}/*", ["uid"]), list(range(first))
    return readers


@ALL
@given(start=st.integers(0, 12_500), size=st.integers(0, 12_500), piece_rows=st.sampled_from([1, 500, 2048, 20_000]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_read_of_a_range_equals_the_slice(
    files: dict[str, tuple[Reader, list[int]]], kind: str, start: int, size: int, piece_rows: int
) -> None:
    reader, rows = files[kind]
    size = min(size, 200 * piece_rows)
    pieces = list(reader.read(start, start + size, piece_rows))
    assert [row for piece in pieces for row in piece.batch["uid"].to_pylist()] == rows[start : start + size]
    assert [piece.first for piece in pieces] == [piece.batch["uid"][0].as_py() for piece in pieces]
    assert all(0 < piece.batch.num_rows <= piece_rows for piece in pieces)


@ALL
def test_block_starts_are_those_of_the_file(files: dict[str, tuple[Reader, list[int]]], kind: str) -> None:
    starts = files[kind][0].block_starts()
    assert starts is not None
    assert starts.tolist() == [0, 2048, 4096, 6144, 7000, 9048, 11096, 12000]
    second = files[kind][0].for_file(2).block_starts()
    assert second is not None and second.tolist() == [0, 2048, 4096, 5000]


@ALL
def test_streams_read_in_turn_open_few_files_and_parse_metadata_once(
    files: dict[str, tuple[Reader, list[int]]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, rows = files[kind]
    reader = pickle.loads(pickle.dumps(reader))  # with files of its own
    opens: list[bool] = []
    file_open = type(KINDS[kind]).open

    def counted(self: Any, file: Any, metadata: Any = None) -> Any:
        opens.append(metadata is not None)
        return file_open(self, file, metadata)

    monkeypatch.setattr(type(KINDS[kind]), "open", counted)
    for _ in range(3):  # eight streams, and then again
        streams = [reader.read(1500 * number, 1500 * (number + 1), 100) for number in range(8)]
        uids = [list(piece.batch["uid"].to_pylist()) for pieces in zip_longest(*streams) for piece in pieces if piece]
        assert sorted(uid for part in uids for uid in part) == rows
    assert len(opens) <= 10
    monkeypatch.setattr(columnar_format, "_IDLE_FILES", 0)
    opens.clear()
    assert len(rows_of(reader)) == len(rows)
    assert opens == [kind == "ParquetDataset"]


def test_pool_closes_the_files_that_wait_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar_format, "_IDLE_FILES", 2)
    for number in range(5):
        write("ArrowDataset", table(2, number), tmp_path / f"{number}")
    reader = opened("ArrowDataset", f"{tmp_path}/*", ["uid"])
    pool, borrowed = FilePool(KINDS["ArrowDataset"]), []
    for file in reader.files:
        with pool.lend(file, file.version()) as item:
            borrowed.append(item)
    assert [item._source.closed for item in borrowed] == [True, True, True, False, False]  # type: ignore[attr-defined]
    with pool.lend(reader.files[4], reader.files[4].version()) as item:
        assert item is borrowed[4]


@ALL
@pytest.mark.parametrize("other", list(KINDS))
def test_file_of_another_format_names_the_dataset_type_that_reads_it(kind: str, other: str, tmp_path: Path) -> None:
    write(other, table(3), tmp_path / "a")
    if kind == other:
        assert len(rows_of(opened(kind, tmp_path / "a"))) == 3
        return
    with pytest.raises(
        DataError, match=rf"/a: cannot be read as {KINDS[kind].name}: .* set data_config.dataset_type to {other}$"
    ):
        opened(kind, tmp_path / "a")


@ALL
@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"uid,clk\n1,0\n", "If it is delimited text, set data_config.dataset_type to CsvDataset"),
        (b"Obj\x01\x04\x14avro", "It is an Avro file"),
        (b"\x1f\x8b\x08\x00\x00\x00", "It is compressed by gzip"),
        (b"FEA1\x00\x00\x00\x00", "It is a Feather file of version 1"),
        (b"\xff\xff\xff\xff\x10\x00", "It is an Arrow IPC stream, which has no footer: write it as a file"),
    ],
)
def test_file_that_is_no_columnar_file_says_what_it_is(kind: str, content: bytes, hint: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content * 20)
    with pytest.raises(DataError, match=f"/a: cannot be read as {KINDS[kind].name}: .*{hint}"):
        opened(kind, tmp_path / "a")


@ALL
@pytest.mark.parametrize("damage", ["empty", "cut", "last", "footer", "body"])
def test_damaged_file_is_an_error_that_names_it(kind: str, damage: str, tmp_path: Path) -> None:
    good = table(5000)
    write(kind, good, tmp_path / "a", 1000)
    whole = (tmp_path / "a").read_bytes()
    size = len(whole)
    middle = bytes(255 - byte for byte in whole[40 : size // 2])
    content = {
        "empty": b"",
        "cut": whole[: size // 2],
        "last": whole[:-1],
        "footer": whole[: size - 60] + bytes(40) + whole[size - 20 :],
        "body": whole[:40] + middle + whole[size // 2 :],
    }[damage]
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(DataError, match=f"/b: .*cannot be read as {KINDS[kind].name}: "):
        rows_of(opened(kind, tmp_path / "*"))


@ALL
def test_file_that_changes_between_pieces_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    write(kind, table(3), tmp_path / "a")
    write(kind, table(3, 3), tmp_path / "b")
    reader = opened(kind, f"{tmp_path}/*", ["uid"])
    assert len(rows_of(reader)) == 6  # both files stay open
    write(kind, table(4000, 3), tmp_path / "b")
    with pytest.raises(DataError, match=r"/b: the file changed in size from .* since the run opened it"):
        rows_of(reader)
    (tmp_path / "b").unlink()
    with pytest.raises(DataError, match=r"/b: is gone"):
        rows_of(reader)


@ALL
def test_remote_file_is_read_like_a_local_one(kind: str, tmp_path: Path) -> None:
    write(kind, table(6000), tmp_path / "a", 2048)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/tzrec_formats/a", (tmp_path / "a").read_bytes())
    local, remote = opened(kind, tmp_path / "a"), opened(kind, "memory://tzrec_formats/a")
    assert rows_of(remote, 3000, 3100) == rows_of(local, 3000, 3100) == table(100, 3000).to_pylist()
    assert remote.files[0].listed == remote.files[0].version()
    assert local.files[0].listed == local.files[0].version()
    memory.rm("/tzrec_formats", recursive=True)


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_feather_files_of_pandas_are_arrow_files(compression: str, tmp_path: Path) -> None:
    rows = pa.table({"a": range(2000), "b": pa.array(["x", "y"] * 1000).dictionary_encode()})
    feather.write_feather(rows, tmp_path / "a.feather", compression=compression, chunksize=300)
    reader = opened("ArrowDataset", tmp_path / "a.feather", ["b", "a"])
    assert rows_of(reader, 500, 702) == [{"b": "xy"[row % 2], "a": row} for row in range(500, 702)]
    assert reader.schema == pa.schema([("b", pa.string()), ("a", pa.int64())])


@pytest.mark.parametrize("compression", ["uncompressed", "snappy", "zlib", "zstd", "lz4"])
def test_stripe_rows_are_read_from_the_tail_of_every_compression(compression: str, tmp_path: Path) -> None:
    rows = pa.table({"a": np.random.default_rng(1).integers(0, 1 << 62, 80_000)})
    orc.write_table(rows, tmp_path / "a", stripe_size=1, batch_size=1024, compression=compression)
    file = orc.ORCFile(tmp_path / "a")
    sizes = stripe_rows(file.reader.serialized_file_tail())
    assert sizes.tolist() == [file.read_stripe(number).num_rows for number in range(file.nstripes)]
    assert len(sizes) > 3 and sizes.sum() == 80_000


@ALL
def test_columnar_file_that_is_configured_as_text_names_its_dataset_type(kind: str, tmp_path: Path) -> None:
    write(kind, table(3), tmp_path / "a")
    with pytest.raises(DataError, match=rf"/a: cannot be read as text\. .* set data_config.dataset_type to {kind}$"):
        opened("CsvDataset", tmp_path / "a", with_header=True)


def test_header_of_text_that_begins_like_a_columnar_file_is_text() -> None:
    assert format_by_bytes(b"ORC_id,PAR1\n1,2\n") is None
    assert format_by_bytes(b"PAR1_id,x\n") is None
