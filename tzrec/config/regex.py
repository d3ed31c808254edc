"""Regular expressions of configs, matched by RE2: in time linear in the text, whatever the expression is.

The syntax is that of Python, except for lookaround `(?=...)`, backreferences `\\1` and possessive repetition `a*+`, for
which no such bound exists; `\\w`, `\\s` and `\\b` are about ASCII.
"""

from __future__ import annotations

import re
from typing import Any

import re2

_MAX_LENGTH = 10_000
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TRANSLATED = {"d": r"\p{Nd}", "D": r"\P{Nd}", "Z": r"\z"}
"""Escapes that mean more in Python than in RE2: digits of all scripts, and the name of the end of the text."""


def compile_regex(text: str) -> Any:
    """Compile a regular expression; the result has the methods of `re.Pattern`.

    Raises:
        ValueError: It is invalid, too large, or outside of the syntax of RE2.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a regular expression has at most {_MAX_LENGTH:,} characters, not {len(text):,}")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(_ESCAPE.sub(lambda match: _TRANSLATED.get(match[1], match[0]), text), options=options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        raise ValueError(f"{text!r} is not a regular expression: {reason}{_hint(text)}") from None


def _hint(text: str) -> str:
    """Return the end of the message about an expression that is valid in Python only."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return ""
    return "; lookaround (?=...), backreferences, possessive repetition and counts above 1000 are not supported"
