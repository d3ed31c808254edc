"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
