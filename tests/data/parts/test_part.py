from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.numbered_rows import table
from tzrec.data.parts import part
from tzrec.data.parts.part import Part, PartNames, regroup, split_into_parts
from tzrec.data.reader import Piece, Reader, open_reader
from tzrec.protos import data_pb2


def reader_of(folder: Path, sizes: list[int], group: int = 1000) -> Reader:
    first = 0
    for number, size in enumerate(sizes):
        pq.write_table(table(size, first), folder / f"{number}.parquet", row_group_size=group)
        first += size
    return open_reader(data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset), f"{folder}/*.parquet", ["uid"])


def uids(parts: list[Part], rows: int = 7) -> list[int]:
    return [uid for each in parts for piece in each.pieces(rows) for uid in piece.batch.column("uid").to_pylist()]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    group=st.integers(1, 40),
    rows=st.integers(1, 20),
    limit=st.none() | st.integers(1, 150),
)
def test_parts_hold_every_row_once_in_order(sizes: list[int], group: int, rows: int, limit: int | None) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "MIN_ROWS", rows)
        patch.setattr(part, "MAX_ROWS", rows)
        parts = split_into_parts(reader_of(Path(folder), sizes, group), limit, PartNames())
        expected = list(range(sum(sizes)))
        assert uids(parts) == expected[:limit]
        assert [each.number for each in parts] == list(range(len(parts)))
        assert [each.name for each in parts] == sorted({each.name for each in parts})
        assert max(each.weight for each in parts) < 3 * rows + group
        assert sum(each.weight for each in parts) == len(expected[:limit])


def test_large_files_are_cut_at_row_groups_and_large_row_groups_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "MIN_ROWS", 10)
    monkeypatch.setattr(part, "MAX_ROWS", 10)
    parts = split_into_parts(reader_of(tmp_path, [25, 3], group=4))
    assert [(each.name, each.first, each.after) for each in parts] == [
        ("part-000000", 0, 12), ("part-000001", 12, 24), ("part-000002", 24, None), ("part-000003", 0, None),
    ]  # fmt: skip
    parts = split_into_parts(reader_of(tmp_path, [45, 3]))
    assert [(each.first, each.after) for each in parts] == [(0, 11), (11, 22), (22, 33), (33, None), (0, None)]


def test_split_does_not_depend_on_more_than_the_files_and_aims_at_64_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "MIN_ROWS", 2)
    assert len(split_into_parts(reader_of(tmp_path, [640], group=1))) == 64
    assert len(split_into_parts(reader_of(tmp_path, [20], group=1))) == 10


def test_parts_are_named_by_their_files_below_the_common_folder(tmp_path: Path) -> None:
    names = ["dt=2024-05-01/part-0.snappy.parquet", "dt=2024-05-02/clicks of ünits.parquet"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(table(3), tmp_path / name)
    config = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)
    parts = split_into_parts(open_reader(config, f"{tmp_path}/dt=*/*.parquet", ["uid"]), names=PartNames())
    assert [each.name for each in parts] == [
        "part-000000-dt=2024-05-01-part-0",
        "part-000001-dt=2024-05-02-clicks-of-nits",
    ]
    parts = split_into_parts(open_reader(config, f"{tmp_path}/{names[0]}", ["uid"]), names=PartNames())
    assert [each.name for each in parts] == ["part-000000-part-0"]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12))
def test_regroup_keeps_rows_and_fills_all_pieces_but_the_last(sizes: list[int], rows: int) -> None:
    pieces, first = [], 5
    for size in sizes:
        pieces.append(Piece(pa.record_batch({"a": pa.array(range(first, first + size))}), first))
        first += size
    result = list(regroup(iter(pieces), rows))
    assert [value for piece in result for value in piece.batch.column("a").to_pylist()] == list(range(5, first))
    assert all(piece.batch.column("a")[0].as_py() == piece.first for piece in result)
    assert all(piece.batch.num_rows == rows for piece in result[:-1])
    assert all(0 < piece.batch.num_rows <= rows for piece in result[-1:])
