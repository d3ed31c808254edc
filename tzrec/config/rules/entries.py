"""The entries of feature_configs, as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tzrec.config.findings import Findings, repeated
from tzrec.protos.feature_pb2 import RawFeature


@dataclass(frozen=True)
class Entry:
    """One feature: its path (of the member of the oneof), its output name and its message."""

    path: str
    name: str
    message: Any

    @property
    def has_table(self) -> bool:
        """Whether its values are ids of a table; a raw feature's are when it has boundaries."""
        return not isinstance(self.message, RawFeature) or bool(self.message.boundaries)

    @property
    def table(self) -> str:
        """Name of its table."""
        return self.message.embedding_name or f"{self.name}_emb"

    @property
    def reads(self) -> list[str]:
        """The expressions of its inputs, as far as they are called so."""
        found = getattr(self.message, "expression", [])
        return [found] if isinstance(found, str) else list(found)


def entries(findings: Findings) -> Iterator[Entry]:
    """All features, those inside of a sequence_feature by their full name."""
    for path, config in repeated("feature_configs", findings.config.feature_configs):
        kind = config.WhichOneof("feature")
        if kind == "sequence_feature":
            group = config.sequence_feature
            for here, each in repeated(f"{path}.{kind}.features", group.features):
                inner = each.WhichOneof("feature")
                if inner:
                    message = getattr(each, inner)
                    yield Entry(f"{here}.{inner}", f"{group.sequence_name}__{message.feature_name}", message)
        elif kind:
            yield Entry(f"{path}.{kind}", getattr(config, kind).feature_name, getattr(config, kind))


def names(findings: Findings) -> dict[str, Entry]:
    """Features by name."""
    return {entry.name: entry for entry in entries(findings) if entry.name}


def all_named(findings: Findings) -> bool:
    """Whether every entry of feature_configs has a name of its own; if not, what seems unknown may be meant there."""
    found = [entry.name for entry in entries(findings)]
    chosen = all(config.WhichOneof("feature") for config in findings.config.feature_configs)
    return chosen and all(found) and len(set(found)) == len(found)
