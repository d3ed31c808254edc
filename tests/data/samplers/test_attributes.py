"""Conversion of the attributes of sampled items to the types of the batch."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tzrec.data.samplers.attributes import convert_attributes
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows


def convert(texts: list[str], kind: pa.DataType, separator: str = "\x1d") -> tuple[list[Any], list[Any]]:
    """Values, and (reason, rows, values) of the bad ones."""
    bad = BadRows(len(texts))
    column = convert_attributes({"a": pa.array(texts, pa.large_string())}, {"a": kind}, separator, bad).column(0)
    assert column.type == kind
    return column.to_pylist(), [(reason, rows.tolist(), list(values)) for _, reason, rows, values in bad.reports]


@pytest.mark.parametrize(
    ("texts", "kind", "expected"),
    [
        (["1\x1d2", "3", ""], pa.list_(pa.int64()), [[1, 2], [3], None]),
        (["a:1\x1db:2", "c:3", ""], pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", 2)], [("c", 3)], []]),
        (["7", "-3", "", "3.0"], pa.int64(), [7, -3, None, 3]),
        (["1.5", "2", ""], pa.float32(), [1.5, 2.0, None]),
        (["x y", "", "1:2"], pa.string(), ["x y", None, "1:2"]),
        (["a\x1db", ""], pa.list_(pa.string()), [["a", "b"], None]),
        (["300"], pa.int16(), [300]),
        (["1:x:y"], pa.map_(pa.int64(), pa.string()), [[(1, "x:y")]]),
        ([], pa.list_(pa.int64()), []),
    ],
)
def test_text_is_converted_to_the_type_of_the_column(texts: list[str], kind: pa.DataType, expected: list[Any]) -> None:
    assert convert(texts, kind) == (expected, [])


def test_lists_are_split_by_the_separator_of_the_data_too() -> None:
    assert convert(["1\x032", "3\x1d4"], pa.list_(pa.float64()), "\x03")[0] == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("texts", "kind", "expected", "reason"),
    [
        (["1", "x"], pa.int64(), [1, None], ("not an integer", [1], ["x"])),
        (["1", "y"], pa.float32(), [1.0, None], ("not a number", [1], ["y"])),
        (["1\x1dx", "2"], pa.list_(pa.int64()), [[1, None], [2]], ("not an integer", [0], ["x"])),
        (["1\x1d\x1d2"], pa.list_(pa.int64()), [[1, None, 2]], ("not an integer", [0], [""])),
        (["4", "k:5"], pa.map_(pa.string(), pa.int64()), [[("4", None)], [("k", 5)]], ("not key:value", [0], ["4"])),
    ],
)
def test_text_that_cannot_be_converted_is_reported(
    texts: list[str], kind: pa.DataType, expected: list[Any], reason: tuple[Any, ...]
) -> None:
    assert convert(texts, kind) == (expected, [reason])


@pytest.mark.parametrize("kind", [pa.list_(pa.list_(pa.int64())), pa.struct([("x", pa.int64())])])
def test_type_without_text_is_rejected(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match=r'column "a" is .*, which the attributes of a sampler cannot have'):
        convert(["1"], kind)


def test_dictionaries_and_fixed_lists_become_plain() -> None:
    bad = BadRows(1)
    texts = {name: pa.array(["1\x1d2"], pa.large_string()) for name in ("a", "b", "c")}
    types = {"a": pa.dictionary(pa.int32(), pa.string()), "b": pa.list_(pa.float32(), 2)}
    result = convert_attributes(texts, types, "\x1d", bad)
    assert result.schema.types == [pa.string(), pa.list_(pa.float32())]
    assert result.to_pydict() == {"a": ["1\x1d2"], "b": [[1.0, 2.0]]}
