from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import table
from tzrec.data.csv import CsvReader
from tzrec.data.parquet import ParquetReader
from tzrec.data.reader import open_reader, reader_class
from tzrec.errors import DataError
from tzrec.protos import data_pb2


def config(kind: str) -> data_pb2.DataConfig:
    kinds = {"parquet": data_pb2.ParquetDataset, "csv": data_pb2.CsvDataset}
    return data_pb2.DataConfig(dataset_type=kinds[kind], with_header=True)


def test_reader_class_follows_the_dataset_type() -> None:
    assert reader_class(data_pb2.ParquetDataset) is ParquetReader
    assert reader_class(data_pb2.CsvDataset) is CsvReader


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_read_starts_at_any_row(write: Write, kind: str) -> None:
    sizes = [7, 0, 1, 12]
    reader = open_reader(config(kind), write(sizes, kind), ["price", "uid"])
    assert reader.count() == 20
    for start in range(22):
        pieces = list(reader.read(start))
        assert [int(uid) for piece in pieces for uid in piece.batch["uid"].to_pylist()] == list(range(start, 20))
        assert [piece.first for piece in pieces] == [int(piece.batch["uid"][0].as_py()) for piece in pieces]
        assert all(piece.batch.schema.names == ["price", "uid"] for piece in pieces)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("piece_rows", [3, 100])
def test_read_yields_the_rows_of_any_range(write: Write, kind: str, piece_rows: int) -> None:
    reader = open_reader(config(kind), write([7, 0, 1, 12], kind), ["uid"])
    for start, stop in itertools.combinations_with_replacement(range(22), 2):
        pieces = list(reader.read(start, stop, piece_rows))
        assert [int(uid) for piece in pieces for uid in piece.batch["uid"].to_pylist()] == list(range(20))[start:stop]
        assert [piece.first for piece in pieces] == [int(piece.batch["uid"][0].as_py()) for piece in pieces]
        assert all(piece.batch.num_rows <= piece_rows for piece in pieces)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_locate_returns_file_and_row(write: Write, kind: str) -> None:
    path = write([7, 0, 1, 12], kind)
    reader = open_reader(config(kind), path)
    list(reader.read())
    locations = [(Path(reader.locate(row).file).name, reader.locate(row).row) for row in (0, 6, 7, 8, 19)]
    part = [f"part-{number:02d}.{kind}" for number in range(4)]
    assert locations == [(part[0], 1), (part[0], 7), (part[2], 1), (part[3], 1), (part[3], 12)]
    unit = {"parquet": "row 12", "csv": "line 13"}[kind]  # the header is line 1
    assert reader.describe(19).endswith(f"{part[3]}, {unit}")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_open_reader_selects_columns(write: Write, kind: str) -> None:
    path = write([2], kind)
    assert open_reader(config(kind), path).available == tuple(table(1).column_names)
    assert open_reader(config(kind), path, ["w", "uid", "w"]).columns == ("w", "uid")
    with pytest.raises(
        DataError, match=r'part-00.*: no column "pric" \(did you mean "price"\?\), "zzz". The file has: uid'
    ):
        open_reader(config(kind), path, ["pric", "uid", "zzz"])
