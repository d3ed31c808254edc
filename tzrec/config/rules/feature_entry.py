"""The entries of feature_configs, as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tzrec.config.checker import Checker, repeated
from tzrec.config.schema import fields_of, is_set
from tzrec.config.sequences import SequenceSpec, feature_members, inputs

# whatever makes ids of values
_BUCKETIZERS = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", "zch", "dynamicemb")


@dataclass(frozen=True)
class FeatureEntry:
    """One feature: its path (of the member of the oneof), its message as `members` tells it, and its steps if any."""

    path: str
    message: Any
    steps: SequenceSpec | None = None

    @property
    def name(self) -> str:
        """Its output name."""
        return str(self.message.feature_name)

    @property
    def has_table(self) -> bool:
        """Whether its values are ids of a table; for features that can make numbers it depends."""
        known = fields_of(self.message)
        chosen = (is_set(self.message, name) for name in ("boundaries", *_BUCKETIZERS) if name in known)
        return "boundaries" not in known or any(chosen)

    @property
    def table(self) -> str:
        """Name of its table."""
        return self.message.embedding_name or f"{self.name}_emb"

    @property
    def width(self) -> int:
        """Columns that it takes in a DEEP group, or at each step."""
        dense_emb = "dense_emb" in self.message.DESCRIPTOR.oneofs_by_name and self.message.WhichOneof("dense_emb")
        embedded = self.has_table or dense_emb
        return int(self.message.embedding_dim if embedded else max(1, getattr(self.message, "value_dim", 1)))

    @property
    def reads(self) -> list[str]:
        """Its inputs as side:name."""
        return [text for _, text in self.inputs]

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Its inputs: (path of the field, side:name)."""
        return [(f"{self.path}.{field}", text) for field, text in inputs(self.message)]


def feature_entries(checker: Checker) -> Iterator[FeatureEntry]:
    """All features, those inside of a sequence_feature by their full name."""
    for path, config in repeated("feature_configs", checker.config.feature_configs):
        for each in feature_members(config):
            yield FeatureEntry(f"{path}.{each.path}", each.message, each.steps)


def entries_by_name(checker: Checker) -> dict[str, FeatureEntry]:
    """Features by name."""
    return {entry.name: entry for entry in feature_entries(checker) if entry.name}


def all_named(checker: Checker) -> bool:
    """Whether every entry of feature_configs has a name of its own; if not, what seems unknown may be meant there."""
    found = [entry.name for entry in feature_entries(checker)]
    chosen = all(config.WhichOneof("feature") for config in checker.config.feature_configs)
    return chosen and all(found) and len(set(found)) == len(found)


def find_feature(checker: Checker, path: str, name: str, known: dict[str, FeatureEntry]) -> FeatureEntry | None:
    """The feature that a group lists at a path; None where there is none, which is then a finding."""
    entry = known.get(name)
    if entry is None:
        if all_named(checker):
            checker.unknown_name(path, "feature", name, known)
    elif getattr(entry.message, "stub_type", False):
        checker.error(path, f'"{name}" is a stub, which only other features may read; set its stub_type to false')
    return entry
