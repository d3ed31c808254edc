"""Regular expressions of configs."""

from __future__ import annotations

import re
import time

import pytest

from tzrec.config.regex import compile_regex


@pytest.mark.parametrize(
    "text",
    [
        ".*",
        "model.*",
        r".*\.weight",
        r"(?i)MODEL\..*",
        r"dense\.\d+\..+",
        "a|b",
        "^dense.*$",
        r"dense.*\Z",
        "[^.]+",
        "",
    ],
)
def test_compile_regex_matches_as_python_does(text: str) -> None:
    names = ["dense.0.weight", "model.bias", "model.mlp.1.weight", "a", "b", "", "dense.٣.x", "x\ny"]
    regex = compile_regex(text)
    assert [bool(regex.fullmatch(name)) for name in names] == [bool(re.fullmatch(text, name)) for name in names]


@pytest.mark.parametrize("text", ["((.)+)+X", "^(([a-z_.])+)+X$", "(a|aa)+$", "(.*)*y", "(a?){500}a{500}"])
def test_compile_regex_matches_in_linear_time(text: str) -> None:
    regex = compile_regex(text)
    start = time.process_time()
    assert not regex.fullmatch("a" * 20_000 + "!")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "missing ]"),
        ("a(?=b)", "lookaround"),
        (r"(a)\1", "backreferences"),
        ("x{2000}", "counts above 1000"),
        ("(" * 5000, "missing )"),
        ("a" * 10_001, "at most 10,000 characters, not 10,001"),
    ],
)
def test_compile_regex_of_unsupported_syntax_raises(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        compile_regex(text)
