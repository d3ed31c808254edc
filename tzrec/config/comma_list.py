"""Comma lists, in command lines and paths."""

from __future__ import annotations


def split_commas(text: str) -> list[str]:
    """Split `a,b , c` into its items, without blanks around them and without empty ones."""
    return [item for part in text.split(",") if (item := part.strip())]
