"""Description of a package as text, from its manifest and `features.json`; without torch, and without its weights."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tzrec.checkpoint.file_record import FileRecord
from tzrec.config.names import name_problem
from tzrec.errors import PackageError
from tzrec.formatting import format_bytes, format_columns
from tzrec.serving.manifest_file import MANIFEST, package_parts, read_manifest
from tzrec.serving.measurements import format_self_test
from tzrec.storage.path import AnyPath

FEATURES, SELF_TEST = "features.json", "self_test"
_HASHED_BYTES = 256 << 20
"""Packages up to this size are compared with their checksums, which takes less than a second."""
_LABEL_WIDTH = 10


def describe_package(directory: AnyPath) -> str:
    """Describe a package; or all packages in a directory, which are the parts of a model or its versions.

    Raises:
        PackageError: there is no package, or one is damaged; names the files.
    """
    if not (directory / MANIFEST).exists() and (parts := package_parts(directory)):
        return "\n\n".join(_describe(part) for part in parts)
    return _describe(directory)


def _describe(directory: AnyPath) -> str:
    manifest = read_manifest(directory)
    try:
        blocks = dict(_blocks(directory, manifest))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise PackageError(f"{directory / MANIFEST} is damaged: {type(error).__name__} {error}") from None
    return "\n".join(_indent(label, text) for label, text in blocks.items() if text)


def _indent(label: str, text: str) -> str:
    first, *lines = text.splitlines()
    return "\n".join([f"{label:<{_LABEL_WIDTH}}{first}", *(f"{'':<{_LABEL_WIDTH}}{line}".rstrip() for line in lines)])


def _blocks(directory: AnyPath, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each block."""
    files = {name: FileRecord.from_json(record) for name, record in manifest["files"].items()}
    size = sum(record.size for record in files.values())
    is_hashed = _verify(directory, files, size)
    versions, contents = manifest["versions"], manifest.get("contents", {})
    yield "package", f"{directory}  {format_bytes(size)}"
    yield "model", f"{manifest['model']}  step {manifest['step']}  {manifest['precision']}"
    elsewhere = "" if versions["machine"] == platform.machine() else f", not for {platform.machine()}, which this is"
    yield "exported", f"tzrec {versions['tzrec']}  torch {versions['torch']}  for {versions['machine']}{elsewhere}"
    programs = manifest.get("programs", {"": manifest})
    for name, program in programs.items():
        suffix = f" {name}" if name else ""
        yield f"inputs{suffix}", _tensors(program["inputs"])
        outputs = [{**output, "shape": ["B", *output["shape"]]} for output in program["outputs"]]
        yield f"outputs{suffix}", _tensors(outputs)
    if FEATURES in files:
        yield "features", _features(json.loads((directory / FEATURES).read_text()))
    if SELF_TEST in contents:
        yield "self-test", format_self_test(contents[SELF_TEST]["about"])
    else:
        yield "self-test", f"max |package - checkpoint| = {manifest['self_test']:.1e}"
    notes = {kind: value for kind, value in contents.items() if kind != SELF_TEST}
    yield "contents", _lines([[kind, value["file"], _about(value["about"])] for kind, value in notes.items()])
    if manifest["additional"]:
        yield "additional", json.dumps(manifest["additional"], ensure_ascii=False)
    yield "files", format_columns([[name, format_bytes(record.size)] for name, record in files.items()], {1})
    yield "verified", "sizes and checksums" if is_hashed else "sizes; checksums are verified when it is opened"


def _verify(directory: AnyPath, files: Mapping[str, FileRecord], size: int) -> bool:
    """Compare the files with the manifest; returns True if their checksums were compared too."""
    is_hashed = isinstance(directory, Path) and size <= _HASHED_BYTES
    problems = [_difference(directory, name, record, is_hashed) for name, record in files.items()]
    if any(problems):
        raise PackageError(f"{directory} is damaged: {'; '.join(filter(None, problems))}. Export it again.")
    return is_hashed


def _difference(directory: AnyPath, name: str, record: FileRecord, is_hashed: bool) -> str:
    if name_problem(name):
        return f"{MANIFEST} names a file outside the package: {name!r}"
    if is_hashed:
        return record.compare(directory / name, name)
    try:
        size = (directory / name).stat().st_size
    except FileNotFoundError:
        return f"{name} is missing"
    return "" if size == record.size else f"{name} has {size:,} bytes instead of {record.size:,}"


def _tensors(tensors: list[dict[str, Any]]) -> str:
    return _lines([[item["name"], item["dtype"], f"({', '.join(map(str, item['shape']))})"] for item in tensors])


def _features(features: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, feature in features.items():
        table = feature.get("table")
        size = f"{table['name']}  {table['rows']:,} x {table['dim']}  {table['pooling']}" if table else ""
        kind = f"{feature['kind']}{' weighted' if feature['weighted'] else ''}"
        sequence = f"in {feature['sequence']}" if feature.get("sequence", name) != name else ""
        rows.append([name, kind, " ".join(feature["inputs"]), size or f"width {feature['width']}", sequence])
    return _lines(rows)


def _about(about: Mapping[str, Any]) -> str:
    return "  ".join(f"{key} {value}" for key, value in about.items() if isinstance(value, (str, int, float)))


def _lines(rows: list[list[str]]) -> str:
    return format_columns(rows, ()) if rows else ""
