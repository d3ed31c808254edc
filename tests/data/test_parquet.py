from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tzrec.data.parquet import ParquetReader, plain_type
from tzrec.data.reader import PIECE_ROWS
from tzrec.errors import DataError
from tzrec.protos import data_pb2

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
    assert (second.num_rows, second.group_starts(), reader.num_rows) == (7, [0, 3, 6], 8)
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


def test_plain_type_conversion_keeps_values(tmp_path: Path) -> None:
    columns = {
        "bool": pa.array([True, None]),
        "uint8": pa.array([255, 0], pa.uint8()),
        "uint32": pa.array([2**32 - 1, 0], pa.uint32()),
        "half": pa.array(np.array([0.5, 1], np.float16)),
        "decimal": pa.array([Decimal("1.25"), None]),
        "large": pa.array(["é", None], pa.large_string()),
        "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
        "nested": pa.array([[["a"], []], None], pa.large_list(pa.list_(pa.large_string()))),
        "nothing": pa.nulls(2),
        "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    got = read(tmp_path)
    names = ["int32", "int32", "int64", "float", "double", "string", "int64", "string", "string"]
    inner = [kind.value_type if pa.types.is_list(kind) else kind for kind in got.schema.types[:-1]]
    inner = [kind.value_type if pa.types.is_list(kind) else kind for kind in inner]
    assert [str(kind) for kind in inner] == names
    assert got.schema.field("map").type == columns["map"].type
    expected = {name: array.to_pylist() for name, array in columns.items()} | {
        "bool": [1, None],
        "decimal": [1.25, None],
    }
    assert got.to_pydict() == expected
    assert plain_type(pa.date32()) == pa.date32()  # features reject it by name
