"""Every kernel against its twin, on whatever text hypothesis comes up with."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference import text as reference
from tzrec.features.kernels import parse
from tzrec.features.text.spans import Spans, split

quick = settings(max_examples=60, deadline=None)
text = st.text(st.sampled_from("ab7é模\U0001f600,|:.\x1d\x00"), max_size=40) | st.text(max_size=8)
int64 = st.integers(-(2**63), 2**63 - 1)
numeral = (
    st.text(st.sampled_from("0123456789+-.eE "), max_size=24)
    | st.floats(width=32).map(str)
    | st.floats().map(repr)
    | int64.map(str)
    | st.integers(-(10**25), 10**25).map(lambda n: f" {n}.00")
    | st.tuples(st.integers(0, 10**6), st.integers(-340, 340)).map(lambda t: f"{t[0]}.5e{t[1]}")
)


def spans(words: list[str]) -> tuple[Spans, list[bytes]]:
    """The non-empty words as spans and as bytes."""
    words = [word for word in words if word]
    found, _ = split(pa.array(words, pa.string()))
    return found, [word.encode() for word in words]


def pieces(found: Spans) -> list[bytes]:
    data = found.data.tobytes()
    return [data[start:end] for start, end in zip(found.starts, found.ends, strict=True)]


@quick
@given(
    rows=st.lists(st.none() | text, max_size=12),
    separator=st.sampled_from(["", ",", "|", "\x1d", "||", "模", "ab"]),
    limit=st.integers(0, 3),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
    cut=st.tuples(st.integers(0, 4), st.integers(0, 12)),
)
def test_split(rows: list[str | None], separator: str, limit: int, kind: pa.DataType, cut: tuple[int, int]) -> None:
    array = pa.array(rows, kind).slice(*cut)
    found, lengths = split(array, separator, limit)
    expected = reference.split(rows[cut[0] : cut[0] + cut[1]], separator, limit)
    assert lengths.tolist() == [len(parts) for parts in expected]
    assert pieces(found) == [part for parts in expected for part in parts]


def test_split_by_hand() -> None:
    found, lengths = split(pa.array(["a,bb,,c", None, "", ",", "d"]), ",")
    assert pieces(found) == [b"a", b"bb", b"c", b"d"]
    assert lengths.tolist() == [3, 0, 0, 0, 1]


@quick
@given(words=st.lists(text | st.text(max_size=100), max_size=8), size=st.integers(1, 2**63 - 1))
def test_hash_text(words: list[str], size: int) -> None:
    found, expected = spans(words)
    assert found.hash(size).tolist() == reference.hash_text(expected, size)


@quick
@given(values=st.lists(int64 | st.integers(-100, 100), max_size=8), size=st.integers(1, 2**63 - 1))
def test_hash_integers(values: list[int], size: int) -> None:
    hashed = parse.hash_integers(np.array(values, np.int64), size)
    assert hashed.tolist() == reference.hash_integers(values, size)


def test_hash_integers_at_the_edges() -> None:
    values = [0, 1, 2, 3, 4, -1, 2**63 - 1, -(2**63)]
    hashed = parse.hash_integers(np.array(values), 100).tolist()
    assert hashed[:5] == [26, 95, 70, 13, 56]
    assert hashed == reference.hash_integers(values, 100)


@quick
@given(words=st.lists(numeral, max_size=12))
def test_parse_integers(words: list[str]) -> None:
    found, raw = spans(words)
    values, good = found.integers()
    expected = reference.parse_integers(raw)
    assert good.tolist() == [value is not None for value in expected]
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
def test_parse_integer(word: str, value: int | None) -> None:
    values, good = spans([word])[0].integers()
    assert (values[0] if good[0] else None) == value


def ulps(left: float, right: float) -> int:
    """How many float64 lie between two."""
    as_int = [struct.unpack("<q", struct.pack("<d", value))[0] for value in (abs(left), abs(right))]
    return abs(as_int[0] - as_int[1])


@quick
@given(words=st.lists(numeral, max_size=12))
def test_parse_floats(words: list[str]) -> None:
    found, raw = spans(words)
    values, good = found.floats()
    for got, is_good, expected in zip(values.tolist(), good.tolist(), reference.parse_floats(raw), strict=True):
        if expected is None or abs(expected) > 1e307:  # at the very end of the range rounding decides
            assert not is_good or abs(got) > 1e307
        else:
            assert is_good
            assert ulps(got, expected) <= 4 or abs(expected) < 1e-300
            assert math.copysign(1, got) == math.copysign(1, expected) or got == 0


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *[("0.1", 0.1), ("-2.5e-3", -2.5e-3), (".5", 0.5), ("5.", 5.0), ("1E+2", 100.0), (" 7 ", 7.0)],
        *[("123456789012345", 123456789012345.0), ("0.0000000000000000000001", 1e-22), ("1e22", 1e22), ("0e999", 0.0)],
        *[("nan", None), ("inf", None), ("1e400", None), ("e5", None), ("1e", None), ("1e+", None), ("1,5", None)],
        *[(".", None), ("--1", None), ("1.2.3", None), ("1_0", None)],
    ],
)
def test_parse_float(word: str, value: float | None) -> None:
    values, good = spans([word])[0].floats()
    assert (values[0] if good[0] else None) == value


@quick
@given(words=st.lists(text, max_size=8))
def test_find_last_and_gather(words: list[str]) -> None:
    found, raw = spans(words)
    positions = parse.find_last(found.data, found.starts, found.ends, ord(":")) - found.starts
    assert positions.tolist() == reference.find_last(raw, b":")
    assert found.arrow().cast(pa.large_binary()).to_pylist() == raw


def test_numba_waits_until_text_comes() -> None:
    """Start-up of a config with integer columns only does not pay for the compiler."""
    program = "import sys, tzrec.features.feature_encoder; "
    program += "from tzrec.features.types import id_feature, raw_feature; "
    program += "sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0
