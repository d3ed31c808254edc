from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.server.stores.packed_rows import PackedColumns, description_key, names_of, read_description, unpack

pytest.importorskip("msgpack", reason="needs msgpack")

ROWS = pa.record_batch(
    {
        "count": pa.array([2**62, None, -1], pa.int64()),
        "big": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "ratio": pa.array([0.1, float("nan"), None], pa.float32()),
        "price": pa.array([0.1, float("inf"), -0.0], pa.float64()),
        "is_new": pa.array([True, False, None]),
        "brand": pa.array(["ü", "", None]),
        "tags": pa.array([[1, None], [], None], pa.list_(pa.int32())),
        "nested": pa.array([[["a"], []], None, [None]], pa.list_(pa.list_(pa.string()))),
        "weights": pa.array([[("a", 0.5)], [], None], pa.map_(pa.string(), pa.float32())),
    }
)


def test_unpack_returns_the_rows_that_were_packed() -> None:
    columns = PackedColumns(ROWS.schema)
    first, second, third = columns.pack(ROWS)
    stored = unpack([third, None, first, second], ROWS.schema.names, {columns.name: columns.schema})
    assert stored.is_known.tolist() == [True, False, True, True] and stored.num_damaged == 0
    assert stored.table.schema == ROWS.schema
    expected = pa.Table.from_batches([ROWS]).take(pa.array([2, None, 0, 1]))
    for name in ROWS.schema.names:
        received, sent = (str(table[name].to_pylist()) for table in (stored.table, expected))
        assert received == sent, name


def test_unpack_selects_columns_in_the_order_asked_for() -> None:
    columns = PackedColumns(ROWS.schema)
    stored = unpack(columns.pack(ROWS), ["tags", "absent", "count"], {columns.name: columns.schema})
    assert stored.table.column_names == ["tags", "count"]
    assert unpack([None], ["tags"], {}).table.num_columns == 0


def test_unpack_reads_values_of_several_tables() -> None:
    older = pa.record_batch({"price": pa.array([1, 2]), "brand": ["a", "b"]})
    newer = pa.record_batch({"stock": pa.array([7]), "price": pa.array([0.5])})
    parts = [PackedColumns(rows.schema) for rows in (older, newer)]
    values = [*parts[0].pack(older), *parts[1].pack(newer)]
    stored = unpack(values, ["stock", "price", "brand"], {part.name: part.schema for part in parts})
    assert stored.table.to_pydict() == {
        "stock": [None, None, 7],
        "price": [1.0, 2.0, 0.5],
        "brand": ["a", "b", None],
    }
    other = PackedColumns(pa.schema({"price": pa.string()}))
    values += other.pack(pa.record_batch({"price": ["x"]}))
    with pytest.raises(DataError, match="values of one column have different types"):
        unpack(values, ["price"], {part.name: part.schema for part in (*parts, other)})


def test_unpack_counts_damaged_values_as_unknown() -> None:
    columns = PackedColumns(ROWS.schema)
    value = columns.pack(ROWS)[0]
    short = columns.name + PackedColumns(ROWS.schema.remove(0)).pack(ROWS.drop_columns(["count"]))[0][8:]
    damaged = [b"", b"abc", value[:-1], value + b"x", short, b"12345678" + value[8:], columns.name + b"\x01"]
    stored = unpack([*damaged, value], ["count"], {columns.name: columns.schema})
    assert stored.num_damaged == len(damaged)
    assert stored.is_known.tolist() == [False] * len(damaged) + [True]
    assert stored.table["count"].to_pylist() == [None] * len(damaged) + [2**62]


def test_unpack_of_a_value_with_another_type_raises() -> None:
    columns, other = PackedColumns(pa.schema({"n": pa.int64()})), PackedColumns(pa.schema({"n": pa.string()}))
    value = columns.name + other.pack(pa.record_batch({"n": ["x"]}))[0][8:]
    with pytest.raises(DataError, match='column "n": a value is not int64'):
        unpack([value], ["n"], {columns.name: columns.schema})


def test_description_is_read_only_under_its_own_name() -> None:
    columns = PackedColumns(ROWS.schema.with_metadata({"pandas": "{}"}))
    assert read_description(columns.name, columns.description) == ROWS.schema
    assert read_description(b"12345678", columns.description) is None
    assert read_description(columns.name, None) is None
    assert description_key(b"\x00\x01\x02\x03\x04\x05\x06\xff") == b"tzrec:columns:00010203040506ff"
    assert names_of([None, b"12345678rest", b"12345678other"]) == {b"12345678"}


def test_packed_columns_of_equal_tables_have_one_name() -> None:
    numbers = pa.array(np.arange(3))
    names = {PackedColumns(pa.record_batch({"a": numbers.slice(first)}).schema).name for first in range(2)}
    assert len(names) == 1 and len(names.pop()) == 8
