"""Directory of an encoded data set: what determines its rows, and what it may hold already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tzrec.data.parts.directory import MANIFEST, read_manifest
from tzrec.data.parts.provenance import Provenance, encoding_digest
from tzrec.data.paths import InputFile
from tzrec.errors import UsageError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.path import AnyPath
from tzrec.version import __version__

_CHANGES = {
    "config_sha256": "with another config (features, data_config or reserved columns)",
    "version": "by tzrec {}",
    "fg_mode": "with --fg_mode {}",
}
_ON_RAY = {True: "without --ray", False: "with --ray"}


def data_set_provenance(
    config: EasyRecConfig, fg_mode: str, on_ray: bool, reserved: Sequence[str], files: Sequence[InputFile]
) -> Provenance:
    """Describe what determines the rows of an encoded data set.

    Args:
        config: declares the features and how the input is read.
        fg_mode: name of the mode the output is read with.
        on_ray: true if Ray splits the rows into files, differently from `split_into_parts`.
        reserved: input columns to copy.
        files: of the input.
    """
    digest = hashlib.sha256("\0".join([encoding_digest(config), *reserved]).encode()).hexdigest()
    settings = {"config_sha256": digest, "version": __version__, "fg_mode": fg_mode, "on_ray": on_ray}
    return Provenance.of(settings, _CHANGES | {"on_ray": _ON_RAY[on_ray]}, files)


def validate_directory(path: AnyPath, changes_since: Callable[[Mapping[str, Any]], list[str]]) -> None:
    """Ensure that a directory is new, empty, or holds a part of the same data set.

    Args:
        path: of the directory.
        changes_since: describes a manifest by its differences to the data set.

    Raises:
        UsageError: it holds something else.
    """
    if not path.exists():
        return
    manifest = read_manifest(path)
    if manifest is None:
        if any(not entry.name.startswith(".") for entry in path.iterdir()):
            raise UsageError(f"{path} is not empty and has no {MANIFEST}; choose another --output_path")
        return
    changes = changes_since(manifest)
    if changes:
        raise UsageError(f"{path} was created {' and '.join(changes)}; remove it or choose another --output_path")
