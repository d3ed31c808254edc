"""Feature groups that a model looks up by name."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_GROUP = ""
"""Stands for the first group of the config, whatever its name."""


@dataclass(frozen=True)
class GroupRequirements:
    """Feature groups of a model, the constant GROUPS of its requirements.

    Attributes:
        required: names of groups that must exist.
        optional: names of groups that may exist. If any name is listed, other groups are errors.
        equal_widths: groups that are split by features, which therefore must have equal widths; of several groups only
            the first one that exists.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    equal_widths: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all groups that the model uses; empty if it takes any names."""
        return (*self.required, *self.optional)
