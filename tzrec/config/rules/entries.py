"""The entries of feature_configs, as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tzrec.config.findings import Findings, repeated
from tzrec.config.schema import fields_of, is_set

# message -> the fields that name its inputs; all others have expression
_INPUTS: Mapping[str, tuple[str, ...]] = {
    "LookupFeature": ("map", "key"),
    "MatchFeature": ("nested_map", "pkey", "skey"),
    "ExprFeature": ("variables",),
    "OverlapFeature": ("query", "title"),
    "KvDotProduct": ("query", "document"),
}
# whatever makes ids of values
_BUCKETIZERS = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", "zch", "dynamicemb")


@dataclass(frozen=True)
class Entry:
    """One feature: its path (of the member of the oneof), its output name and its message."""

    path: str
    name: str
    message: Any

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
    def reads(self) -> list[str]:
        """Its inputs as side:name."""
        return [text for _, text in self.inputs]

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Its inputs: (path of the field, side:name)."""
        found: list[tuple[str, str]] = []
        for name in _INPUTS.get(self.message.DESCRIPTOR.name, ("expression",)):
            value = getattr(self.message, name)
            if name in ("pkey", "skey") and value == "ALL":
                continue  # every key: no input
            here = f"{self.path}.{name}"
            found += [(here, value)] if isinstance(value, str) else repeated(here, value)
        return found


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
