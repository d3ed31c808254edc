"""Write a package: under a temporary name until its self-test has passed, then one rename publishes it.

For a store it is written to a local directory, and uploaded with its manifest last.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tzrec.checkpoint.manifest import FileRecord
from tzrec.config.load import dump_config
from tzrec.config.vocabulary import self_contained
from tzrec.data.atomic import AtomicDirectory
from tzrec.data.store_directory import StoreDirectory, upload_directory
from tzrec.errors import PackageError, UsageError
from tzrec.serving.assets import pack_assets
from tzrec.serving.compile import compile_servable, example_inputs
from tzrec.serving.draft import PackageDraft
from tzrec.serving.package import (
    CONFIG,
    FEATURES,
    WEIGHTS,
    Package,
    copy_assets,
    ensure_files,
    installed_versions,
    program_path,
)
from tzrec.serving.package_manifest import MANIFEST, MODEL, OutputSpec, PackageManifest, ProgramSpec
from tzrec.serving.parts import split
from tzrec.serving.profile import add_profile
from tzrec.serving.selftest import difference
from tzrec.serving.servable import Servable
from tzrec.serving.signature import describe_features
from tzrec.serving.stored_tables import is_narrowed, stored_tables
from tzrec.serving.trained_model import TrainedModel, precision_of
from tzrec.serving.weights import map_weights, write_weights
from tzrec.storage.path import AnyPath, StorePath

TOLERANCE = 1e-6
"""Greatest difference of an FP32 package to its checkpoint, relative to outputs greater than 1."""


_CONTENTS: tuple[Callable[[PackageDraft], None], ...] = (add_profile,)
"""Functions that add files to the package, see `PackageDraft.add`; called when programs and config are written."""

_OCCUPIED = "--export_dir {} exists and is not empty; remove it or choose another one"


def publish(
    trained: TrainedModel,
    directory: AnyPath,
    assets: tuple[Path, ...] = (),
    additional: Mapping[str, Any] | None = None,
) -> dict[str, PackageManifest]:
    """Write a package; or one for each part of a model with parts, in directories of their names.

    Args:
        trained: the model.
        directory: new or empty.
        assets: further files to copy into each package.
        additional: copied into the manifests.

    Returns:
        Manifests by part; the only one of a model without parts has the name "".

    Raises:
        UsageError: the directory exists and is not empty.
        SetupError: there is no C++ compiler.
        PackageError: an asset is missing, or the self-test found other predictions than those of the checkpoint.
    """
    parts = split(trained) or {"": trained}
    ensure_unoccupied(directory, parts)
    ensure_files(assets)
    with _draft(directory, parts) as draft:
        manifests = {name: _write_package(part, draft / name, assets, additional) for name, part in parts.items()}
        ensure_unoccupied(directory, parts)  # another export may have finished first
    return manifests


def _write_package(
    trained: TrainedModel, directory: Path, assets: tuple[Path, ...], additional: Mapping[str, Any] | None
) -> PackageManifest:
    directory.mkdir(exist_ok=True)
    draft = PackageDraft(directory, trained)
    servable, tables = _write_weights(draft)
    compile_servable(servable, program_path(directory, MODEL))
    draft.write_file(CONFIG, dump_config(pack_assets(self_contained(trained.config), directory)))
    draft.write_file(FEATURES, json.dumps(describe_features(trained.features, servable.signature), indent=1) + "\n")
    for add_content in _CONTENTS:
        add_content(draft)
    copy_assets(assets, directory)
    manifest = replace(_manifest(trained, servable, tables), additional=dict(additional or {}), contents=draft.contents)
    manifest = replace(manifest, self_test=_self_test(Package(directory, manifest), trained))
    files = {path.name: FileRecord.of(path) for path in sorted(directory.iterdir())}
    manifest = replace(manifest, files=files)
    manifest.write(directory)
    return manifest


@contextmanager
def _draft(directory: AnyPath, parts: Collection[str]) -> Iterator[Path]:
    """Yield a local directory, whose files are published when the block ends: by a rename, or to a store."""
    if isinstance(directory, Path):
        with AtomicDirectory(directory, is_synced=True) as package_directory:
            yield package_directory.draft
        return
    with tempfile.TemporaryDirectory(prefix="tzrec-package-") as draft:
        yield Path(draft)
        for name in parts:
            upload_directory(Path(draft) / name, directory / name if name else directory, MANIFEST)


def ensure_unoccupied(directory: AnyPath, parts: Collection[str] = ("",)) -> None:
    """Check that a package can be published, or one in a directory of its name for each part of a model.

    Raises:
        UsageError: the directory exists and is not empty.
    """
    if isinstance(directory, StorePath):
        for name in parts:
            _ensure_store_unoccupied(directory / name if name else directory)
        return
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(_OCCUPIED.format(directory))


def _ensure_store_unoccupied(directory: StorePath) -> None:
    if StoreDirectory(directory, MANIFEST).is_unfinished:
        return  # left by an export that was ended
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(_OCCUPIED.format(directory))


def _write_weights(draft: PackageDraft) -> tuple[Servable, tuple[str, ...]]:
    """Write all weights into one file; returns a servable whose tables are mapped from it, and their names."""
    trained = draft.trained
    tables = stored_tables(trained.model, trained.config.export_config)
    empty = torch.empty(0, dtype=torch.uint8)
    servable = Servable(trained.model, empty, tables.places, precision_of(trained.config))
    constants = {name: tensor for name, tensor in servable.state_dict().items() if name != "tables"}
    named_tables = {f"tables.{name}": table for name, table in tables.rows.items()}
    write_weights(draft.directory / WEIGHTS, _aligned(constants, named_tables))
    mapped = map_weights(draft.directory / WEIGHTS)
    servable.tables = mapped.flat(list(named_tables))
    if is_narrowed(trained.config.export_config):
        draft.add("quantization", about={f"tables.{name}": kind for name, kind in tables.data_types.items()})
    return servable, tuple(named_tables)


def _aligned(constants: Mapping[str, Tensor], tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Order tensors by width, with adjacent tables: FP32 and FP16 tables go between wider and narrower constants."""
    order = sorted(constants, key=lambda name: -constants[name].itemsize)
    wide = {name: constants[name] for name in order if constants[name].itemsize >= 4}
    narrow = {name: constants[name] for name in order if constants[name].itemsize < 4}
    return {**wide, **tables, **narrow}


def _manifest(trained: TrainedModel, servable: Servable, tables: tuple[str, ...]) -> PackageManifest:
    with torch.inference_mode():
        outputs = servable.predict(example_inputs(servable.signature))
    specs = tuple(OutputSpec.from_tensor(name, outputs[name]) for name in sorted(outputs))
    program = ProgramSpec(servable.signature, tables, specs)
    return PackageManifest(
        model=trained.config.model_config.WhichOneof("model") or "",
        step=trained.step,
        checkpoint=trained.checkpoint,
        precision=precision_of(trained.config),
        programs={MODEL: program},
        versions=installed_versions(),
    )


def _self_test(package: Package, trained: TrainedModel) -> float:
    measured = difference(package.program(), trained.model, trained.features)
    is_exact = precision_of(trained.config) == "FP32" and not is_narrowed(trained.config.export_config)
    if is_exact and not measured <= TOLERANCE:
        raise PackageError(
            f"self-test: max |package - checkpoint| = {measured:.1e}, more than {TOLERANCE:.0e}; nothing was published"
        )
    return measured
