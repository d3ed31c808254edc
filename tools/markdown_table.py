"""Table of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable


def markdown_table(rows: Iterable[Iterable[str]]) -> str:
    """Write rows of cells in Markdown; the first one is the head.

    Example:
        markdown_table([["model", "task"], ["mmoe", "several tasks"]])
    """
    head, *others = (list(cells) for cells in rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *others])
