from __future__ import annotations

import pytest

from tzrec.features.numbers import parse_integer, parse_number


@pytest.mark.parametrize(("text", "expected"), [("12", 12), (" -3.00 ", -3), ("+4.", 4)])
def test_whole_numbers_are_parsed(text: str, expected: int) -> None:
    assert parse_integer(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1.5", "²", "1_0", "--1", "1.0.0", "٣"])
def test_other_words_are_no_integers(text: str) -> None:
    with pytest.raises(ValueError, match="not an integer"):
        parse_integer(text)


@pytest.mark.parametrize(
    ("text", "reason"), [("1_0", "not a number"), ("", "not a number"), ("nan", "not finite"), ("1e39", "not finite")]
)
def test_invalid_numbers_are_rejected(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_number(text)
