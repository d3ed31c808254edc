"""Manifest of an encoded data set, `_manifest.json`: input, settings, parts and their numbers of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.fs as pafs

from tzrec.config.vocabulary import self_contained, vocabulary_path
from tzrec.data import atomic
from tzrec.data.paths import InputFile, filesystem
from tzrec.encoding.parts import Part, PartResult
from tzrec.errors import UsageError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.version import __version__

NAME = "_manifest.json"  # readers of directories skip names that begin with _
_FORMAT = 1


@dataclass(frozen=True)
class SourceFile:
    """An input file, identified by size and time of modification."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: InputFile) -> SourceFile:
        info = file.filesystem.get_file_info(file.path)
        return cls(file.name, info.size, info.mtime_ns or 0)


@dataclass(frozen=True)
class Provenance:
    """Input and settings that determine the rows of an encoded data set.

    Attributes:
        config_sha256: digest of features, data_config, the files that these name, and the reserved columns.
        version: of tzrec; another version may split the input or encode it differently.
        fg_mode: name of the mode the output is read with.
        on_ray: true if Ray splits the rows into files, differently from `split_into_parts`.
        inputs: the files in reading order.
    """

    config_sha256: str
    version: str
    fg_mode: str
    on_ray: bool
    inputs: tuple[SourceFile, ...]

    @classmethod
    def of(
        cls, config: EasyRecConfig, fg_mode: str, on_ray: bool, reserved: Sequence[str], files: Sequence[InputFile]
    ) -> Provenance:
        inputs = tuple(SourceFile.of(file) for file in files)
        return cls(_digest(config, reserved), __version__, fg_mode, on_ray, inputs)

    @property
    def stamp(self) -> str:
        """Digest of all attributes."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def _digest(config: EasyRecConfig, reserved: Sequence[str]) -> str:
    config = self_contained(config)
    digest = hashlib.sha256(config.data_config.SerializeToString(deterministic=True))
    for feature in config.feature_configs:
        digest.update(feature.SerializeToString(deterministic=True))
        for _, message in feature.ListFields():
            if getattr(message, "vocab_file", ""):  # of a tokenizer: the ids depend on its content, not on its name
                digest.update(vocabulary_path(message).read_bytes())
    digest.update("\0".join(reserved).encode())
    return digest.hexdigest()


def validate_directory(directory: str, provenance: Provenance) -> None:
    """Ensure that a directory is new, empty, or holds a part of the same data set.

    Raises:
        UsageError: it does not.
    """
    remote, inner = filesystem(directory)
    if remote.get_file_info(inner).type == pafs.FileType.NotFound:
        return
    manifest = _read(directory)
    if manifest is None:
        names = [info.base_name for info in remote.get_file_info(pafs.FileSelector(inner))]
        if [name for name in names if not name.startswith(".")]:
            raise UsageError(f"{directory} is not empty and has no {NAME}; choose another --output_path")
        return
    changed = []
    if manifest["config_sha256"] != provenance.config_sha256:
        changed.append("with another config (features, data_config or reserved columns)")
    if manifest["version"] != provenance.version:
        changed.append(f"by tzrec {manifest['version']}")
    if manifest["fg_mode"] != provenance.fg_mode:
        changed.append(f"with --fg_mode {manifest['fg_mode']}")
    if manifest["on_ray"] != provenance.on_ray:
        changed.append(f"with{'' if manifest['on_ray'] else 'out'} --ray")
    if manifest["inputs"] != [asdict(file) for file in provenance.inputs]:
        changed.append("from other files, or from files that were modified since")
    if changed:
        raise UsageError(f"{directory} was created {' and '.join(changed)}; remove it or choose another --output_path")


def is_complete(directory: str) -> bool:
    """True if all parts of a data set that `validate_directory` accepted are encoded."""
    manifest = _read(directory)
    return bool(manifest and manifest["complete"])


def _read(directory: str) -> dict[str, Any] | None:
    remote, inner = filesystem(f"{directory}/{NAME}")
    if remote.get_file_info(inner).type != pafs.FileType.File:
        return None
    with remote.open_input_file(inner) as stream:
        content: dict[str, Any] = json.loads(stream.read())
        return content


def write_manifest(
    directory: str, provenance: Provenance, parts: Sequence[Part], results: Sequence[PartResult | None]
) -> None:
    """Write the manifest.

    Args:
        directory: of the data set.
        provenance: its input and settings.
        parts: of the input; empty for files written by Ray, one per result.
        results: per part, None if it is not encoded yet.
    """
    if parts:
        entries = [_part_entry(part, result) for part, result in zip(parts, results, strict=True)]
    else:
        entries = [{"name": f"part-{index:06d}", "rows": result.rows} for index, result in enumerate(results) if result]
    value = {
        "format": _FORMAT,
        **asdict(provenance),
        "complete": None not in results,
        "rows": sum(result.rows for result in results if result),
        "parts": entries,
    }
    write_file(directory, NAME, json.dumps(value, indent=1) + "\n")


def write_file(directory: str, name: str, text: str) -> None:
    """Write a small file beside the parts, atomically."""
    remote, inner = filesystem(directory)
    remote.create_dir(inner, recursive=True)
    atomic.write_text(f"{directory}/{name}", text, is_synced=True)


def _part_entry(part: Part, result: PartResult | None) -> dict[str, object]:
    entry = {"name": part.name, "input": part.reader.files[0].name, "first": part.first, "after": part.after}
    if result is None:
        return entry
    bad = [{"column": column, "reason": reason, "count": count} for column, reason, count in result.bad]
    return {**entry, "rows_read": result.read, "rows": result.rows, "bad": bad}
