"""Provenance of a directory of parts: the input and the settings that determine its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tzrec.config.vocabulary import self_contained, vocabulary_path
from tzrec.data.paths import InputFile
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class SourceFile:
    """An input file, identified by size and time of modification."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: InputFile) -> SourceFile:
        version = file.version()
        return cls(file.name, version.size, version.modified_ns or 0)


@dataclass(frozen=True)
class Provenance:
    """Input and settings that determine the rows of a directory of parts.

    Attributes:
        settings: by name: digests, versions and flags.
        texts: setting -> description of another value, in which `{}` stands for that value; a setting that follows from
            others has none.
        inputs: the files in reading order.
    """

    settings: Mapping[str, Any]
    texts: Mapping[str, str]
    inputs: tuple[SourceFile, ...]

    @classmethod
    def of(cls, settings: Mapping[str, Any], texts: Mapping[str, str], files: Sequence[InputFile]) -> Provenance:
        assert texts.keys() <= settings.keys()
        return cls(settings, texts, tuple(SourceFile.of(file) for file in files))

    def to_json(self) -> dict[str, Any]:
        """Its form in a manifest."""
        return {**self.settings, "inputs": [asdict(file) for file in self.inputs]}

    def after(self, manifest: Mapping[str, Any]) -> Provenance:
        """Copy it with the files of an earlier manifest before those that this one has besides."""
        earlier = tuple(SourceFile(**file) for file in manifest["inputs"])
        return replace(self, inputs=tuple(dict.fromkeys([*earlier, *self.inputs])))

    @property
    def stamp(self) -> str:
        """Digest of input and settings."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def changes_since(self, manifest: Mapping[str, Any]) -> list[str]:
        """Describe the provenance in a manifest by its differences to this one, to follow "was created"."""
        mine = self.to_json()
        changes = [
            text.format(manifest.get(name)) for name, text in self.texts.items() if manifest.get(name) != mine[name]
        ]
        if manifest.get("inputs") != mine["inputs"]:
            changes.append("from other files, or from files that were modified since")
        return changes


def encoding_digest(config: EasyRecConfig) -> str:
    """Digest of the features, of data_config, and of the files that the features name."""
    config = self_contained(config)
    digest = hashlib.sha256(config.data_config.SerializeToString(deterministic=True))
    for feature in config.feature_configs:
        digest.update(feature.SerializeToString(deterministic=True))
        for _, message in feature.ListFields():
            if getattr(message, "vocab_file", ""):  # of a tokenizer: the ids depend on its content, not on its name
                digest.update(vocabulary_path(message).read_bytes())
    return digest.hexdigest()
