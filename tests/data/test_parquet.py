from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec.data.parquet import ParquetReader
from tzrec.data.reader import PIECE_ROWS
from tzrec.errors import DataError
from tzrec.protos import data_pb2

PLAIN: dict[str, Any] = {"compression": "none", "use_dictionary": False}
CONFIG = data_pb2.DataConfig(dataset_type=data_pb2.ParquetDataset)


def read(path: Path, *columns: str) -> pa.Table:
    reader = ParquetReader(CONFIG, f"{path}/*.parquet", columns or None)
    return pa.Table.from_batches([piece.batch for piece in reader.read()])


def test_row_groups_before_the_start_are_not_read(tmp_path: Path) -> None:
    """The first row group is damaged, which reading from the second one does not detect."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.arange(40)}), path, row_group_size=20, compression="none", use_dictionary=False)
    column = pq.read_metadata(path).row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset : column.data_page_offset + 20] = b"\xff" * 20
    path.write_bytes(content)
    reader = ParquetReader(CONFIG, str(path))
    assert [value for piece in reader.read(25) for value in piece.batch["x"].to_pylist()] == list(range(25, 40))
    with pytest.raises(DataError, match=r"a.parquet: cannot be read as Parquet"):
        list(reader.read(5))


def test_pieces_have_a_maximum_size(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.zeros(PIECE_ROWS * 2 + 1)}), tmp_path / "a.parquet")
    sizes = [piece.batch.num_rows for piece in ParquetReader(CONFIG, f"{tmp_path}/a.parquet").read()]
    assert sizes == [PIECE_ROWS, PIECE_ROWS, 1]


def test_parquet_reader_for_file_keeps_the_types_of_the_first_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [0.5]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array(range(7), pa.int32())}), tmp_path / "b.parquet", row_group_size=3)
    reader = ParquetReader(CONFIG, f"{tmp_path}/*.parquet")
    second = reader.for_file(1)
    assert (second.num_rows, second.block_starts().tolist(), reader.block_starts().tolist()) == (
        7,
        [0, 3, 6, 7],
        [0, 1, 4, 7, 8],
    )
    (piece,) = second.read(5)
    assert (piece.first, piece.batch.to_pydict()) == (5, {"x": [5.0, 6.0]})
    assert second.describe(5) == f"{tmp_path}/b.parquet, row 6"


def test_later_files_are_cast_to_the_types_of_the_first(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([1], pa.int64()), "s": ["a"]}), tmp_path / "a.parquet")
    dictionary = pa.array(["b", None]).dictionary_encode()
    pq.write_table(pa.table({"s": dictionary, "x": pa.array([2, None], pa.int16())}), tmp_path / "b.parquet")
    assert read(tmp_path).to_pydict() == {"x": [1, 2, None], "s": ["a", "b", None]}
    pq.write_table(pa.table({"x": [0.5], "s": ["a"]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r'c.parquet: column "x" is double, but int64 in .*a.parquet'):
        read(tmp_path)
    assert read(tmp_path, "s").num_rows == 4  # the type of a column that is not read does not matter
    pq.write_table(pa.table({"x": [5], "s": [1]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r'c.parquet: column "s" is int64, but string'):
        read(tmp_path)


def test_columns_keep_their_stored_type_without_its_layout(tmp_path: Path) -> None:
    columns = {
        "bool": pa.array([True, None]),
        "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
        "half": pa.array(np.array([0.5, 1], np.float16)),
        "decimal": pa.array([Decimal("1.25"), None]),
        "day": pa.array([1, None], pa.date32()),
        "large": pa.array(["é", None], pa.large_string()),
        "view": pa.array(["é", None], pa.string_view()),
        "category": pa.array(["a", None]).dictionary_encode(),
        "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
        "list_view": pa.array([None, [3]], pa.list_view(pa.int64())),
        "nested": pa.array([[["a"], []], None], pa.large_list(pa.list_(pa.large_string()))),
        "nothing": pa.nulls(2),
        "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    got = read(tmp_path)
    kinds = ["bool", "uint64", "halffloat", "decimal128(3, 2)", "date32[day]", "string", "string", "string"]
    assert [str(kind) for kind in got.schema.types[:8]] == kinds
    assert got.schema.types[8:10] == [pa.list_(pa.int64())] * 2
    assert got.schema.field("nothing").type == pa.string()
    assert got.to_pydict() == {name: array.to_pylist() for name, array in columns.items()}


def write_all(tmp_path: Path, *tables: pa.Table) -> None:
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{number}.parquet")


def x(values: Any, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, kind)})


@pytest.mark.parametrize(
    ("tables", "kind"),
    [
        ([x([None]), x([2**60])], pa.int64()),
        ([x([2**60]), x([None])], pa.int64()),
        ([x([None]), x([None]), x([0.5])], pa.float64()),
        ([x([None]), x([[1, 2]])], pa.list_(pa.int64())),
        ([x([None]), x(["a"]), x([None])], pa.string()),
        ([x([[None]]), x([[1.5]])], pa.list_(pa.float64())),
        ([x([None]), x([None])], pa.string()),
        ([x([1], pa.int8()), x([2**40])], pa.int64()),
        ([x([2**63], pa.uint64()), x([-1])], pa.decimal128(20, 0)),
        ([x([200], pa.uint8()), x([-1], pa.int8())], pa.int16()),
        ([x([True]), x([3])], pa.int64()),
        ([x([0.5], pa.float32()), x([0.1])], pa.float64()),
        ([x([Decimal(2**63)]), x([-5])], pa.decimal128(20, 0)),
        ([x([Decimal("0.25")]), x([0.5])], pa.float64()),
        ([x([Decimal("0.25")]), x([Decimal("1000")])], pa.decimal128(6, 2)),
        ([x([2]), x([3.0, None])], pa.int64()),
        ([x([2.5]), x([3])], pa.float64()),
        ([x([1], pa.timestamp("ms")), x([1], pa.timestamp("us"))], pa.timestamp("us")),
    ],
)
def test_types_of_several_files_are_merged_without_a_changed_value(
    tables: list[pa.Table], kind: pa.DataType, tmp_path: Path
) -> None:
    write_all(tmp_path, *tables)
    got = read(tmp_path)["x"]
    assert got.type == kind
    values = [value for table in tables for value in table["x"].to_pylist()]
    assert got.to_pylist() == values


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([x([1]), x(["1"])], r'1.parquet: column "x" is string, but int64 in .*0.parquet'),
        ([x(["1"]), x([1])], r'1.parquet: column "x" is int64, but string in .*0.parquet'),
        ([x([None]), x(["a"]), x([1])], r'2.parquet: column "x" is int64, but string in .*1.parquet'),
        ([x([1]), x([[1]])], r'1.parquet: column "x" is list<.*int64>, but int64'),
        ([x([1]), x([1.5, 3.0])], r'1.parquet: column "x" is double, but int64'),
        ([x([1.5]), x([2**53 + 1])], r'1.parquet: column "x" is int64, but double'),
        ([x([Decimal(2**60)]), x([0.5])], r'1.parquet: column "x" is double, but decimal128'),
        ([x([1]), pa.table({"y": [1]})], r'1.parquet: no column "x". The file has: y'),
        ([x([1]), pa.Table.from_arrays([pa.array([1])] * 2, ["x", "x"])], r'1.parquet: 2 columns "x"; rename or drop'),
    ],
)
def test_files_that_differ_are_refused_before_any_row_is_read(
    tables: list[pa.Table], message: str, tmp_path: Path
) -> None:
    write_all(tmp_path, *tables)
    with pytest.raises(DataError, match=message):
        ParquetReader(CONFIG, f"{tmp_path}/*.parquet", ["x"])


def test_all_differences_of_files_are_listed(tmp_path: Path) -> None:
    first = pa.table({"a": [1], "b": ["x"]})
    write_all(tmp_path, first, first, pa.table({"a": ["1"], "b": ["x"]}), pa.table({"a": [1], "b": [[1]]}))
    with pytest.raises(DataError) as caught:
        ParquetReader(CONFIG, f"{tmp_path}/*.parquet", ["a", "b"])
    assert str(caught.value).splitlines() == [
        f'{tmp_path}/2.parquet: column "a" is string, but int64 in {tmp_path}/0.parquet',
        f'{tmp_path}/3.parquet: column "b" is list<item: int64>, but string in {tmp_path}/0.parquet',
        "All files of an input path need the same types",
    ]


def test_whole_floats_of_an_integer_column_are_noted_and_others_refused_when_read(tmp_path: Path) -> None:
    write_all(tmp_path, x([1]), x([1.0, 2.5, 4.0]))
    reader = ParquetReader(CONFIG, f"{tmp_path}/*.parquet", ["x"])
    assert reader.notes == (f'{tmp_path}/1.parquet: column "x" is double, read as int64 of {tmp_path}/0.parquet',)
    with pytest.raises(DataError, match=r'1.parquet: column "x" is double, but int64 in .*0.parquet: .*truncated'):
        list(reader.read())


def test_repeated_columns_are_no_trouble_where_they_are_not_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, ["x", "x", "y"]), tmp_path / "a.parquet")
    assert read(tmp_path, "y").to_pydict() == read(tmp_path).to_pydict() == {"y": [1]}
    reader = ParquetReader(CONFIG, f"{tmp_path}/a.parquet", ["y"])
    assert (reader.available, reader.repeated) == (("x", "y"), {"x"})
    with pytest.raises(DataError, match=r'a.parquet: 2 columns "x"; rename or drop all but one'):
        reader.select(["x"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: pq.write_table(x(list(range(100))), path),
            r"the file changed in size from .* since the run",
        ),
        (lambda path: pq.write_table(x(list(range(900))), path), "the file changed in size"),
        (lambda path: pq.write_table(x(["a"] * 500), path), "the file changed in size"),
        (lambda path: pq.write_table(x(list(range(1, 501))), path, **PLAIN), "the file was written again"),
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.write_bytes(b""), "cannot be read as Parquet"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot be read as Parquet"),
    ],
)
def test_file_that_changes_after_the_start_is_refused_by_name(change: Any, message: str, tmp_path: Path) -> None:
    pq.write_table(x([7]), tmp_path / "a.parquet")
    pq.write_table(x(list(range(500))), tmp_path / "b.parquet", **PLAIN)
    reader = ParquetReader(CONFIG, f"{tmp_path}/*.parquet")
    change(tmp_path / "b.parquet")
    pieces = reader.read()
    assert next(pieces).batch["x"].to_pylist() == [7]
    with pytest.raises(DataError, match=f"b.parquet: .*{message}"):
        next(pieces)
    assert sum(piece.batch.num_rows for piece in reader.for_file(0).read()) == 1
