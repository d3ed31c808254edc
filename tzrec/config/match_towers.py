"""Towers of match models: the groups that each of them reads."""

from __future__ import annotations

from typing import Any

from tzrec.config.schema import fields_of

TOWERS = ("user_tower", "item_tower")
"""Fields of the towers of a match model."""
_GROUP_FIELDS = ("input", "augment_input", "history_input")


def group_fields(tower: Any) -> list[str]:
    """Return the fields of a tower that name a feature group, in order."""
    return [name for name in _GROUP_FIELDS if name in fields_of(tower)]


def groups_of(model: Any, tower: str) -> list[str]:
    """Return the names of the groups that a tower of a match model reads, in the order of its fields."""
    message = getattr(model, tower)
    return [getattr(message, name) for name in group_fields(message)]
