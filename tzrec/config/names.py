"""Did you mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `names` that a slip of the finger most likely turned into `name`."""
    by_lower = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def hint(name: str, names: Iterable[str], limit: int = 12) -> str:
    """The end of a message about an unknown name: the closest known one, or all of them when they are few."""
    names = list(names)
    match = closest(name, names)
    if match is not None:
        return f'; did you mean "{match}"?'
    return f"; known: {', '.join(names)}" if 0 < len(names) <= limit else ""
