"""fg.json: the features that the feature generator of EasyRec makes from raw columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.struct_pb2 import Struct

from tzrec.config.json_text import read_json
from tzrec.config.schema import fields_of, is_map, is_message
from tzrec.errors import ConfigError, Problem
from tzrec.migration.easyrec.features import embed_ids
from tzrec.migration.easyrec.source import Source, only
from tzrec.protos.feature_pb2 import FeatureConfig, SeqFeatureConfig

Entry = Mapping[str, Any]

_RENAMED = {
    "value_dimension": "value_dim",
    "needDiscrete": "need_discrete",
    "needKey": "need_key",
    "needWeighting": "weighted",
    "user": "nested_map",
    "category": "pkey",
    "item": "skey",
    "show_category": "show_pkey",
    "show_item": "show_skey",
}
_POOLED = {"combiner": "pooling"}
_IMPLIED = frozenset(("feature_type", "value_type", "output_type", "output_delim"))
"""Keys that follow from the rest."""


@dataclass(frozen=True)
class FgSequence:
    """Sequence with its features; `path` is its place in the file."""

    entry: Entry
    path: str

    @property
    def name(self) -> str:
        return str(self.entry["sequence_name"])

    @property
    def members(self) -> dict[str, Entry]:
        return {str(member.get("feature_name", "")): member for member in self.entry.get("features", ())}


@dataclass(frozen=True)
class FgJson:
    """Content of an fg.json.

    Attributes:
        file: its name.
        features: entries by name, outside of sequences.
        sequences: by name.
        problems: keys without a counterpart.
    """

    file: str
    features: dict[str, tuple[Entry, str]] = field(default_factory=dict)
    sequences: dict[str, FgSequence] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, path: str) -> FgJson:
        """Read a file.

        Raises:
            ConfigError: it cannot be read, or is not an object with a list of features.
        """
        try:
            content = read_json(Path(path).read_text(encoding="utf-8"))
            entries = content["features"]
            fg = cls(path)
            for index, entry in enumerate(entries):
                place = f"features[{index}]"
                if "sequence_name" in entry:
                    fg.sequences[str(entry["sequence_name"])] = FgSequence(entry, place)
                else:
                    fg.features[str(entry["feature_name"])] = entry, place
            return fg
        except (OSError, ValueError) as error:
            raise ConfigError([Problem("", f"fg.json cannot be read: {error}", path)]) from None
        except (KeyError, TypeError, AttributeError):
            text = 'fg.json is an object {"features": [...]} of objects with a feature_name or sequence_name'
            raise ConfigError([Problem("features", text, path)]) from None

    def expressions(self) -> dict[str, list[str]]:
        """Inputs with their sides by the name of the feature, inside of sequences `<sequence>__<feature>`."""
        named = {name: entry for name, (entry, _) in self.features.items()}
        for sequence in self.sequences.values():
            named |= {f"{sequence.name}__{name}": entry for name, entry in sequence.members.items()}
        return {name: _inputs(entry) for name, entry in named.items()}

    def kind(self, name: str) -> str:
        """Return the feature_type of a feature, "" if the file does not have it."""
        entry, _ = self.features.get(name, ({}, ""))
        return str(entry.get("feature_type", ""))

    def convert(self, easyrec: Mapping[str, Source]) -> Iterator[FeatureConfig]:
        """Convert all features; sizes of tables come from the feature of the same name in the config."""
        for name, (entry, path) in self.features.items():
            config = FeatureConfig()
            if self._convert_entry(entry, path, config):
                _complete(config, easyrec.get(name))
                yield config
        for sequence in self.sequences.values():
            config = FeatureConfig()
            convert_sequence_settings(sequence, config)
            for index, (name, entry) in enumerate(sequence.members.items()):
                member = SeqFeatureConfig()
                if self._convert_entry(entry, f"{sequence.path}.features[{index}]", member):
                    _complete(member, easyrec.get(f"{sequence.name}__{name}"))
                    config.sequence_feature.features.append(member)
            yield config

    def _convert_entry(self, entry: Entry, path: str, config: Any) -> bool:
        """Set the fields of a feature; return False, and report it, for a type that does not exist."""
        kind = str(entry.get("feature_type", ""))
        fields = config.DESCRIPTOR.fields_by_name
        if kind not in fields or kind == "sequence_feature":
            self._report(f"{path}.feature_type", f'"{kind}" has no counterpart; the feature is left out')
            return False
        target = only(config, kind)
        renamed = _RENAMED if "combiner" in fields_of(target) else {**_RENAMED, **_POOLED}
        for key, value in entry.items():
            name = key if key in fields_of(target) else renamed.get(key, key)
            if name in fields_of(target):
                self._assign(target, name, value, f"{path}.{key}")
            elif "operator_params" in fields_of(target) and key not in _IMPLIED:
                target.operator_params[key] = value
            elif key not in _IMPLIED and not (key == "need_prefix" and not value):
                self._report(f"{path}.{key}", "has no counterpart")
        return True

    def _assign(self, target: Any, name: str, value: Any, path: str) -> None:
        """Set a field to a value of JSON."""
        descriptor = fields_of(target)[name]
        try:
            if is_map(descriptor) or isinstance(getattr(target, name), Struct):
                getattr(target, name).update(value)
            elif descriptor.is_repeated:
                values = value if isinstance(value, list) else [value]
                getattr(target, name).extend(_cast(descriptor, element) for element in values)
            elif is_message(descriptor):
                raise TypeError("no value")
            else:
                setattr(target, name, _cast(descriptor, value))
        except (TypeError, ValueError, AttributeError):
            self._report(path, f"{value!r} is not a value of {name}")

    def _report(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message, self.file))


def _cast(descriptor: FieldDescriptor, value: Any) -> Any:
    """Convert a value of JSON, where numbers may be texts and the other way round, to the type of a field."""
    if descriptor.type == FieldDescriptor.TYPE_STRING:
        is_whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
        return str(int(value) if is_whole else value)
    if descriptor.type == FieldDescriptor.TYPE_BOOL:
        return value if isinstance(value, bool) else str(value).lower() in ("true", "1")
    if descriptor.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return float(value)
    return int(value)


def convert_sequence_settings(sequence: FgSequence, config: FeatureConfig) -> None:
    """Set the settings that all features of a sequence share."""
    target = config.sequence_feature
    target.sequence_name = sequence.name
    target.sequence_length = int(sequence.entry.get("sequence_length", 1))
    target.sequence_delim = str(sequence.entry.get("sequence_delim", ";"))
    if "sequence_pk" in sequence.entry:
        target.sequence_pk = str(sequence.entry["sequence_pk"])


def _complete(config: Any, source: Source | None) -> None:
    """Take the table from the config, and its size where fg.json has none."""
    if source is None:
        return
    target = getattr(config, config.WhichOneof("feature"))
    fields = fields_of(target)
    if source.integer("embedding_dim"):
        embed_ids(source, target)
    for name in ("hash_bucket_size", "num_buckets"):
        if name in fields and not target.HasField(name) and source.integer(name) > 0:
            setattr(target, name, source.integer(name))
    if "boundaries" in fields and not target.boundaries:
        source.copy(target, {"boundaries": "boundaries"})


def _inputs(entry: Entry) -> list[str]:
    for keys in (
        ("expression",),
        ("map", "key"),
        ("query", "document"),
        ("query", "title"),
        ("user", "category", "item"),
    ):
        values = [entry[key] for key in keys if key in entry]
        if len(values) == len(keys):
            return values[0] if isinstance(values[0], list) else [str(value) for value in values]
    return []
