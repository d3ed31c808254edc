from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from tzrec.data.text_schema import (
    NOT_UTF8,
    cast_text,
    declared_fields,
    declared_types,
    infer_number_type,
    infer_type,
    valid_text,
)
from tzrec.features.bad_rows import BadRows
from tzrec.protos import data_pb2


def test_declared_fields_read_both_config_fields() -> None:
    fields = [
        data_pb2.Field(input_name="a", input_type=data_pb2.INT32),
        data_pb2.Field(input_name="b"),
        data_pb2.Field(input_name="c", input_type=data_pb2.ARRAY_INT64),
    ]
    config = data_pb2.DataConfig(dataset_type=data_pb2.CsvDataset, input_fields=fields)
    assert declared_fields(config) == {"a": data_pb2.INT32, "b": None, "c": data_pb2.ARRAY_INT64}
    assert declared_types(config) == {"a": pa.int32()}
    config.input_fields_str = "x:DOUBLE; y:STRING ;"
    assert declared_types(config) == {"x": pa.float64(), "y": pa.string()}


@pytest.mark.parametrize(
    ("cells", "number_type", "narrowest"),
    [
        (["1", None, "-2"], pa.int64(), pa.int64()),
        (["1", "2.0"], pa.float64(), pa.float64()),
        (["1", "oops"], pa.int64(), pa.string()),
        (["1e3", "oops"], pa.float64(), pa.string()),
        (["oops"], None, pa.string()),
        ([None], None, pa.int64()),
    ],
)
def test_infer_type_is_the_narrowest(
    cells: Sequence[str | None], number_type: pa.DataType | None, narrowest: pa.DataType
) -> None:
    assert infer_number_type(pa.array(cells, pa.string())) == number_type
    assert infer_type(pa.array(cells, pa.string())) == narrowest


def test_cast_text_reports_invalid_cells() -> None:
    text = ["1", "x", None, "2.0", "2.5", "99999999999999999999", " 7"]
    batch = pa.RecordBatch.from_pydict({"i": text, "f": text, "s": text})
    bad = BadRows(7)
    got = cast_text(batch, {"i": pa.int64(), "f": pa.float32(), "s": pa.string(), "absent": pa.int64()}, bad)
    assert got["i"].to_pylist() == [1, None, None, 2, None, None, 7]
    assert got["f"].to_pylist() == [1, None, None, 2, 2.5, pytest.approx(1e20), 7]
    assert got["f"].type == pa.float32()
    assert got["s"].to_pylist() == text
    assert [(name, reason, rows.tolist(), values) for name, reason, rows, values in bad.reports] == [
        ("i", "not an integer", [1, 4, 5], ["x", "2.5", "99999999999999999999"]),
        ("f", "not a number", [1], ["x"]),
    ]


def test_cast_text_reports_int32_overflow() -> None:
    bad = BadRows(2)
    got = cast_text(pa.RecordBatch.from_pydict({"i": ["3000000000", "5"]}), {"i": pa.int32()}, bad)
    assert got["i"].to_pylist() == [None, 5]
    assert bad.mask.tolist() == [True, False]


def test_cast_text_reads_whole_decimals_exactly() -> None:
    text = ["9007199254740993.0", "-7.", "8.000", None, "5"]
    columns = {"good": text, "mixed": [*text[:4], "5.5"]}
    bad = BadRows(5)
    got = cast_text(pa.RecordBatch.from_pydict(columns), dict.fromkeys(columns, pa.int64()), bad)
    assert got["good"].to_pylist() == [9007199254740993, -7, 8, None, 5]
    assert got["mixed"].to_pylist() == [9007199254740993, -7, 8, None, None]
    assert bad.mask.tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("text", ["1_0", "\u0663", "1_0.5", "\u0663.5", "0x1p3", "1 0"])
def test_cast_text_reads_ascii_digits_only(text: str) -> None:
    bad = BadRows(1)
    batch = pa.RecordBatch.from_pydict({"i": [text], "f": [text]})
    got = cast_text(batch, {"i": pa.int64(), "f": pa.float64()}, bad)
    assert (got["i"].to_pylist(), got["f"].to_pylist(), len(bad.reports)) == ([None], [None], 2)
    assert infer_number_type(batch["i"]) is None


def test_cast_text_reports_cells_that_are_not_utf8() -> None:
    raw = pa.array([b"caf\xe9", b"7", None, "caf\u00e9".encode()], pa.binary())
    cells = pa.StringArray.from_buffers(4, raw.buffers()[1], raw.buffers()[2], raw.buffers()[0])
    bad = BadRows(4)
    got = cast_text(pa.RecordBatch.from_arrays([cells, cells], ["s", "i"]), {"s": pa.string(), "i": pa.int64()}, bad)
    assert got["s"].to_pylist() == [None, "7", None, "caf\u00e9"]
    assert got["i"].to_pylist() == [None, 7, None, None]
    assert [(name, reason, rows.tolist(), list(values)) for name, reason, rows, values in bad.reports] == [
        ("s", NOT_UTF8, [0], ["caf\ufffd"]),
        ("i", NOT_UTF8, [0], ["caf\ufffd"]),
        ("i", "not an integer", [3], ["caf\u00e9"]),
    ]
    valid = pa.array(["a", None])
    assert valid_text(valid)[0] is valid
