"""Kernels over text, compared to their reference on random text."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.reference import text as reference
from tests.fixtures.random_text import int64, pieces, quick, text
from tzrec.features.kernels import parse
from tzrec.features.text.spans import Spans, split

numeral = (
    st.text(st.sampled_from("0123456789+-.eE "), max_size=24)
    | st.floats(width=32).map(str)
    | st.floats().map(repr)
    | int64.map(str)
    | st.integers(-(10**25), 10**25).map(lambda n: f" {n}.00")
    | st.tuples(st.integers(0, 10**6), st.integers(-340, 340)).map(lambda t: f"{t[0]}.5e{t[1]}")
)


def spans(words: list[str]) -> tuple[Spans, list[bytes]]:
    """Return the non-empty words as spans and as bytes."""
    words = [word for word in words if word]
    non_empty, _ = split(pa.array(words, pa.string()))
    return non_empty, [word.encode() for word in words]


@quick
@given(
    rows=st.lists(st.none() | text, max_size=12),
    separator=st.sampled_from(["", ",", "|", "\x1d", "||", "模", "ab"]),
    limit=st.integers(0, 3),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
    part_slice=st.tuples(st.integers(0, 4), st.integers(0, 12)),
)
def test_split_equals_reference(
    rows: list[str | None], separator: str, limit: int, kind: pa.DataType, part_slice: tuple[int, int]
) -> None:
    array = pa.array(rows, kind).slice(*part_slice)
    parts, lengths = split(array, separator, limit)
    expected = reference.split(rows[part_slice[0] : part_slice[0] + part_slice[1]], separator, limit)
    assert lengths.tolist() == [len(parts) for parts in expected]
    assert pieces(parts) == [part for parts in expected for part in parts]


def test_split_drops_empty_parts() -> None:
    parts, lengths = split(pa.array(["a,bb,,c", None, "", ",", "d"]), ",")
    assert pieces(parts) == [b"a", b"bb", b"c", b"d"]
    assert lengths.tolist() == [3, 0, 0, 0, 1]


@quick
@given(words=st.lists(text | st.text(max_size=100), max_size=8), size=st.integers(1, 2**63 - 1))
def test_hash_text_equals_reference(words: list[str], size: int) -> None:
    parts, expected = spans(words)
    assert parts.hash(size).tolist() == reference.hash_text(expected, size)


@quick
@given(values=st.lists(int64 | st.integers(-100, 100), max_size=8), size=st.integers(1, 2**63 - 1))
def test_hash_integers_equals_reference(values: list[int], size: int) -> None:
    hashed = parse.hash_integers(np.array(values, np.int64), size)
    assert hashed.tolist() == reference.hash_integers(values, size)


def test_hash_integers_at_int64_edges_equals_reference() -> None:
    values = [0, 1, 2, 3, 4, -1, 2**63 - 1, -(2**63)]
    hashed = parse.hash_integers(np.array(values), 100).tolist()
    assert hashed[:5] == [26, 95, 70, 13, 56]
    assert hashed == reference.hash_integers(values, 100)


@quick
@given(words=st.lists(numeral, max_size=12))
def test_parse_integers_equals_reference(words: list[str]) -> None:
    parts, raw = spans(words)
    values, valid = parts.parse_integers()
    expected = reference.parse_integers(raw)
    assert valid.tolist() == [value is not None for value in expected]
    assert values.tolist() == [value or 0 for value in expected]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *[("12", 12), ("-7", -7), ("+3", 3), (" 5 ", 5), ("12.0", 12), ("12.", 12), ("007", 7), ("-0", 0)],
        *[("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63))],
        *[("9223372036854775808", None), ("-9223372036854775809", None), ("99999999999999999999999", None)],
        *[("1.5", None), ("a", None), ("-", None), ("1e3", None), ("1 2", None), ("0x1", None), (".0", None)],
    ],
)
def test_parse_integers_accepts_whole_int64(word: str, value: int | None) -> None:
    values, valid = spans([word])[0].parse_integers()
    assert (values[0] if valid[0] else None) == value


def ulps(left: float, right: float) -> int:
    """Count the float64 between two."""
    as_int = [struct.unpack("<q", struct.pack("<d", value))[0] for value in (abs(left), abs(right))]
    return abs(as_int[0] - as_int[1])


@quick
@given(words=st.lists(numeral, max_size=12))
def test_parse_floats_is_close_to_reference(words: list[str]) -> None:
    parts, raw = spans(words)
    values, valid = parts.parse_floats()
    for value, is_valid, expected in zip(values.tolist(), valid.tolist(), reference.parse_floats(raw), strict=True):
        if expected is None or abs(expected) > 1e307:  # close to the largest number rounding decides
            assert not is_valid or abs(value) > 1e307
        else:
            assert is_valid
            assert ulps(value, expected) <= 4 or abs(expected) < 1e-300
            assert math.copysign(1, value) == math.copysign(1, expected) or value == 0


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *[("0.1", 0.1), ("-2.5e-3", -2.5e-3), (".5", 0.5), ("5.", 5.0), ("1E+2", 100.0), (" 7 ", 7.0)],
        *[("123456789012345", 123456789012345.0), ("0.0000000000000000000001", 1e-22), ("1e22", 1e22), ("0e999", 0.0)],
        *[("nan", None), ("inf", None), ("1e400", None), ("e5", None), ("1e", None), ("1e+", None), ("1,5", None)],
        *[(".", None), ("--1", None), ("1.2.3", None), ("1_0", None)],
    ],
)
def test_parse_floats_accepts_decimals(word: str, value: float | None) -> None:
    values, valid = spans([word])[0].parse_floats()
    assert (values[0] if valid[0] else None) == value


@quick
@given(words=st.lists(text, max_size=8))
def test_find_last_and_gather_equal_reference(words: list[str]) -> None:
    parts, raw = spans(words)
    positions = parse.find_last(parts.data, parts.starts, parts.ends, ord(":")) - parts.starts
    assert positions.tolist() == reference.find_last(raw, b":")
    assert parts.to_arrow().cast(pa.large_binary()).to_pylist() == raw


def test_numba_is_not_imported_without_text() -> None:
    """A config with integer columns only starts without the compiler."""
    program = "import sys, tzrec.features.feature_encoder; "
    program += "from tzrec.features.types import id_feature, raw_feature; "
    program += "sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0
