"""The table of column types: exact values, or a refusal that names the column, the type and a fix."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.data.labels import label_values, weight_values
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import NOT_EXACT, decode, decoded_type, readable
from tzrec.features.jagged import read_jagged

BIG = 2**64 - 1
NESTED = [[1, 2], None, [], [3]]
READ: list[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([True, None]), pa.int32(), [1, None]),
    (pa.array([255, None], pa.uint8()), pa.int32(), [255, None]),
    (pa.array([2**32 - 1], pa.uint32()), pa.int64(), [2**32 - 1]),
    (pa.array([BIG, 0], pa.uint64()), pa.uint64(), [BIG, 0]),
    (pa.array(np.array([0.5], np.float16)), pa.float32(), [0.5]),
    (pa.array([Decimal(5), None], pa.decimal32(5, 0)), pa.int64(), [5, None]),
    (pa.array([Decimal(10**17 + 1)], pa.decimal128(18, 0)), pa.int64(), [10**17 + 1]),
    (pa.array([Decimal(BIG), None], pa.decimal128(20, 0)), pa.string(), [str(BIG), None]),
    (pa.array([Decimal(10**50)], pa.decimal256(60, 0)), pa.string(), [str(10**50)]),
    (pa.array([Decimal(500)], pa.decimal128(5, -2)), pa.int64(), [500]),
    (pa.array([Decimal("12.99"), None], pa.decimal128(38, 18)), pa.float64(), [12.99, None]),
    (pa.array([[Decimal("0.5")], None], pa.large_list(pa.decimal64(12, 2))), pa.list_(pa.float64()), [[0.5], None]),
    (pa.array(["é", None], pa.large_string()), pa.string(), ["é", None]),
    (pa.array(["é", None], pa.string_view()), pa.string(), ["é", None]),
    (pa.array(["a", None, "a"]).dictionary_encode(), pa.string(), ["a", None, "a"]),
    (
        pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.uint32()), pa.array(["a", "b"], pa.string_view())),
        pa.string(),
        ["b", None, "a"],
    ),
    (pa.array([7, 8, 7]).dictionary_encode(), pa.int64(), [7, 8, 7]),
    (pa.array([True, None]).dictionary_encode(), pa.int32(), [1, None]),
    (pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([7, None])), pa.int64(), [7, 7, None]),
    (pa.array(["{}"], pa.json_()), pa.string(), ["{}"]),
    (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())), pa.int32(), [1]),
    (pa.array(NESTED, pa.list_view(pa.int64())), pa.list_(pa.int64()), NESTED),
    (pa.array(NESTED, pa.large_list_view(pa.int16())), pa.list_(pa.int32()), NESTED),
    (pa.array(NESTED, pa.large_list_view(pa.int16())).slice(1), pa.list_(pa.int32()), NESTED[1:]),
    (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)).slice(1), pa.list_(pa.int64()), [None, [3, 4]]),
    (pa.array([[["a"], []], None], pa.list_view(pa.large_list(pa.string_view()))), pa.list_(pa.list_(pa.string())), []),
    (pa.array([1, 2]), pa.int64(), [1, 2]),
    (pa.nulls(2), pa.null(), [None, None]),
]


@pytest.mark.parametrize(("array", "kind", "values"), READ, ids=[str(case[0].type) for case in READ])
def test_readable_of_each_type_keeps_every_value(array: pa.Array, kind: pa.DataType, values: list[Any]) -> None:
    bad = BadRows(len(array))
    got = readable(array, "x", bad)
    assert (got.type, got.to_pylist(), bad.reports) == (kind, values or array.to_pylist(), [])
    assert decode(array).type == decoded_type(array.type)
    assert decode(array).to_pylist() == array.to_pylist()


def test_decode_of_a_map_that_is_a_slice_keeps_its_rows() -> None:
    rows = [[("a", 1)], None, [("b", 2), ("c", None)]]
    array = pa.array(rows, pa.map_(pa.large_string(), pa.int64()))
    assert decode(array.slice(1)).to_pylist() == rows[1:]
    assert decode(array).type == pa.map_(pa.string(), pa.int64())


def test_readable_of_a_decimal_beyond_the_floats_reports_its_row() -> None:
    bad = BadRows(3)
    values = [Decimal("9007199254740993.5"), Decimal("-1.5"), None]
    assert readable(pa.array(values), "x", bad).to_pylist() == [None, -1.5, None]
    assert [(report[0], report[1], report[2].tolist(), report[3]) for report in bad.reports] == [
        ("x", NOT_EXACT, [0], [values[0]])
    ]
    lists = BadRows(2)
    assert readable(pa.array([[values[1]], [values[1], values[0]]]), "x", lists).to_pylist() == [[-1.5], None]
    assert lists.mask.tolist() == [False, True]


REFUSED = [
    (pa.date32(), "write it as an integer"),
    (pa.date64(), "write it as an integer"),
    (pa.timestamp("ns", "UTC"), "write it as an integer"),
    (pa.time32("s"), "write it as an integer"),
    (pa.time64("ns"), "write it as an integer"),
    (pa.duration("s"), "write it as an integer"),
    (pa.month_day_nano_interval(), "write it as an integer"),
    (pa.list_(pa.date32()), "write it as an integer"),
    (pa.binary(), "write it as a string"),
    (pa.binary(4), "write it as a string"),
    (pa.binary_view(), "write it as a string"),
    (pa.uuid(), "cast it where the data is written"),
    (pa.struct([("a", pa.int8())]), "write each of its fields"),
    (pa.map_(pa.string(), pa.int64()), "cast it where the data is written"),
]


@pytest.mark.parametrize(("kind", "fix"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_refused_type_is_an_error_with_column_type_and_fix(kind: pa.DataType, fix: str) -> None:
    array = readable(pa.nulls(1, kind), "x", BadRows(1))
    with pytest.raises(DataError, match=rf'column "x" has type .*cannot read.*{fix}'):
        read_jagged(array, "x", "|")
    for convert in (label_values, weight_values):
        with pytest.raises(DataError, match=rf'column "x" is .*must be integers, floats.*{fix}'):
            convert("x", pa.nulls(1, kind), BadRows(1))


@pytest.mark.parametrize("kind", [pa.uint64(), pa.decimal128(20, 0)])
def test_labels_beyond_int64_are_bad_values(kind: pa.DataType) -> None:
    values = [BIG, 3, None] if pa.types.is_uint64(kind) else [Decimal(BIG), Decimal(3), None]
    bad = BadRows(3)
    assert label_values("x", pa.array(values, kind), bad).tolist() == [0, 3, 0]
    assert [(reason, rows.tolist()) for _, reason, rows, _ in bad.reports] == [
        ("beyond 64-bit integers", [0]),
        ("null label", [2]),
    ]


def test_ids_of_every_integer_type_are_the_same_elements() -> None:
    ids = [5, 123456789012345678]
    decimals = [Decimal(value) for value in ids]
    texts = [str(value) for value in ids]
    for array in (pa.array(ids), pa.array(ids, pa.uint64()), pa.array(decimals, pa.decimal128(18, 0))):
        assert read_jagged(readable(array, "x", BadRows(2)), "x", "|").elements.tolist() == ids
    wide = read_jagged(readable(pa.array(decimals, pa.decimal128(20, 0)), "x", BadRows(2)), "x", "|")
    assert wide.elements.to_arrow().to_pylist() == texts
