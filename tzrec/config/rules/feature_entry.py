"""Features of a config with their paths."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from tzrec.config.checker import Checker, repeated
from tzrec.config.rules.bucketizer import BUCKETIZERS
from tzrec.config.schema import fields_of, is_set
from tzrec.config.sequences import SequenceSpec, feature_members, inputs


@dataclass(frozen=True)
class FeatureEntry:
    """Feature of a config.

    Attributes:
        path: path of its message.
        message: message of the feature, see `FeatureMember`.
        sequence: layout of the sequence; None if it is not a sequence.
        field: member of the oneof that holds the message; None for a message without a config.
    """

    path: str
    message: Any
    sequence: SequenceSpec | None = None
    field: FieldDescriptor | None = None

    @property
    def name(self) -> str:
        """Name of its output."""
        return str(self.message.feature_name)

    @property
    def has_table(self) -> bool:
        """True if its values are ids of a table."""
        known = fields_of(self.message)
        bucketizers = (is_set(self.message, name) for name in ("boundaries", *BUCKETIZERS) if name in known)
        return "boundaries" not in known or any(bucketizers)

    @property
    def table(self) -> str:
        """Name of its table."""
        return self.message.embedding_name or f"{self.name}_emb"

    @property
    def width(self) -> int:
        """Number of columns in a DEEP group, or of an element of a sequence."""
        dense_emb = "dense_emb" in self.message.DESCRIPTOR.oneofs_by_name and self.message.WhichOneof("dense_emb")
        is_embedded = self.has_table or dense_emb
        return int(self.message.embedding_dim if is_embedded else max(1, getattr(self.message, "value_dim", 1)))

    @property
    def reads(self) -> list[str]:
        """Its inputs as side:name."""
        return [text for _, text in self.inputs]

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Its inputs: path of the field, and side:name."""
        return [(f"{self.path}.{field}", text) for field, text in inputs(self.message)]


@functools.lru_cache(maxsize=1)
def feature_entries(checker: Checker) -> Sequence[FeatureEntry]:
    """Return all features; those of a sequence_feature have their full names."""
    return [
        FeatureEntry(f"{path}.{member.path}", member.message, member.sequence, member.field)
        for path, config in repeated("feature_configs", checker.config.feature_configs)
        for member in feature_members(config)
    ]


@functools.lru_cache(maxsize=1)
def entries_by_name(checker: Checker) -> Mapping[str, FeatureEntry]:
    """Return the features by name."""
    return {entry.name: entry for entry in feature_entries(checker) if entry.name}


@functools.lru_cache(maxsize=1)
def all_have_names(checker: Checker) -> bool:
    """True if every entry of feature_configs has its own name; otherwise an unknown name may mean one without."""
    names = [entry.name for entry in feature_entries(checker)]
    is_chosen = all(config.WhichOneof("feature") for config in checker.config.feature_configs)
    return is_chosen and all(names) and len(set(names)) == len(names)


def find_feature(checker: Checker, path: str, name: str, known: Mapping[str, FeatureEntry]) -> FeatureEntry | None:
    """Return the feature that the field at a path names; report a name that is unknown or belongs to a stub."""
    entry = known.get(name)
    if entry is None:
        if all_have_names(checker):
            checker.unknown_name(path, "feature", name, known)
    elif getattr(entry.message, "stub_type", False):
        checker.error(path, f'"{name}" is a stub, which only other features may read; set its stub_type to false')
    return entry
