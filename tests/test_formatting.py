"""Text forms of numbers."""

from __future__ import annotations

import pytest

from tzrec.formatting import format_bytes, format_count, format_duration, format_value


@pytest.mark.parametrize(
    ("number", "text"), [(12.4, "12"), (999, "999"), (1000, "1.0k"), (36_449, "36.4k"), (1_204_000, "1.20M")]
)
def test_format_count(number: float, text: str) -> None:
    assert format_count(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.72184, "0.7218"),
        (-5.30246, "-5.302"),
        (12.3456, "12.35"),
        (1067.02, "1,067"),
        (65_060_394.4, "65,060,394"),
        (0.00003, "3.0e-05"),
        (0.00006, "0.0001"),
        (0.0, "0.0000"),
        (float("nan"), "nan"),
    ],
)
def test_format_value_has_digits_by_size(value: float, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (73e6, "73 MB"), (5e12, "5.0 TB"), (3e20, "300 EB")],
)
def test_format_bytes(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (279, "4:39"), (3723, "1:02:03")])
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
