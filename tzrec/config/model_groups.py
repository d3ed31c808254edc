"""Feature groups that a model looks up by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tzrec.protos.model_pb2 import ModelConfig

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
        alone: the required group that a single group is, whatever its name; "" if names always count.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    equal_widths: tuple[str, ...] = ()
    alone: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all groups that the model uses; empty if it takes any names."""
        return (*self.required, *self.optional)

    def name_of(self, name: str, groups: Collection[str]) -> str:
        """Return the name that one of these groups has in a config.

        Args:
            name: name of the group in these requirements.
            groups: names of the groups of the config.
        """
        return next(iter(groups)) if name == self.alone and len(groups) == 1 else name


def listed_features(model: ModelConfig) -> set[str]:
    """Names of the features in all feature groups and sequence groups."""
    names: set[str] = set()
    for group in model.feature_groups:
        names.update(group.feature_names, *(inner.feature_names for inner in group.sequence_groups))
    return names
