"""Names of a config: what they may contain, and suggestions for misspelled ones."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from tzrec.errors import shorten_middle

_MAX_LENGTH = 200
"""Length of names up to which similar ones are looked for; the time grows with the product of two lengths."""


def closest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most similar to `name`, ignoring case, or None if none is similar."""
    if len(name) > _MAX_LENGTH:
        return None
    by_lower = {known.lower(): known for known in names if len(known) <= _MAX_LENGTH}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str], limit: int = 12) -> str:
    """Return the end of a message about an unknown name.

    Args:
        name: unknown name.
        names: known names.
        limit: number of known names up to which all of them are listed if none is similar.

    Returns:
        The most similar known name, all known names, or "".
    """
    names = list(names)
    match = closest(name, names)
    if match is not None:
        return f'; did you mean "{match}"?'
    return f"; known: {', '.join(names)}" if 0 < len(names) <= limit else ""


def name_problem(name: str) -> str:
    """Validate a name that may become a part of a file name, a column name or a line of a log.

    Returns:
        The problem, or "".
    """
    if name in (".", "..") or any(char in "/\\" or unicodedata.category(char) in _NOT_IN_NAMES for char in name):
        return f"{name!r} is not a name: it may not contain slashes, backslashes or control characters, nor be . or .."
    size = len(name.encode())
    if size > _MAX_NAME_BYTES:
        return f"{shorten_middle(name)!r} has {size:,} bytes; a name has at most {_MAX_NAME_BYTES}"
    return ""


_MAX_NAME_BYTES = 200
"""Leaves room for an ending within the 255 bytes of a file name."""
_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")
"""Categories of control characters, surrogates, and separators of lines and paragraphs."""
