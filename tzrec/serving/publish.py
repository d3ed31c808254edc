"""Making a package: everything is written and tested beside its place, then one rename publishes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tzrec.checkpoint.manifest import FileRecord
from tzrec.config.load import dump_config
from tzrec.config.vocabulary import self_contained
from tzrec.data.atomic import AtomicDirectory
from tzrec.errors import PackageError, UsageError
from tzrec.serving import package
from tzrec.serving.assets import packed
from tzrec.serving.compile import compile_servable, example_inputs
from tzrec.serving.package import OutputSpec, Package, PackageManifest
from tzrec.serving.selftest import difference
from tzrec.serving.servable import Servable, offsets_of, tables_of
from tzrec.serving.signature import describe
from tzrec.serving.trained import TrainedModel, precision_of
from tzrec.serving.weights import map_weights, write_weights

TOLERANCE = 1e-6
"""What an FP32 package may differ from its checkpoint, relative to outputs greater than 1."""


def publish(
    trained: TrainedModel, directory: Path, assets: tuple[Path, ...] = (), additional: Mapping[str, Any] | None = None
) -> PackageManifest:
    """Write a package.

    Args:
        trained: the model.
        directory: new or empty.
        assets: further files to put into it.
        additional: goes into the manifest as it is.

    Raises:
        UsageError: the directory exists and is not empty.
        SetupError: there is no C++ compiler.
        PackageError: an asset is missing, or the self-test found another answer than the checkpoint's.
    """
    refuse_occupied(directory)
    with AtomicDirectory(directory, is_synced=True) as package_directory:
        draft = Path(package_directory.temporary)
        servable, tables = _write_weights(trained, draft)
        compile_servable(servable, draft / package.MODEL)
        (draft / package.CONFIG).write_text(dump_config(packed(self_contained(trained.config), draft)))
        told = describe(trained.features, servable.signature)
        (draft / package.FEATURES).write_text(json.dumps(told, indent=1) + "\n")
        package.copy_assets(assets, draft)
        manifest = replace(_manifest(trained, servable, tables), additional=dict(additional or {}))
        manifest = replace(manifest, self_test=_tested(Package(draft, manifest), trained))
        files = {path.name: FileRecord.of(path) for path in sorted(draft.iterdir())}
        manifest = replace(manifest, files=files)
        manifest.write(draft)
    return manifest


def refuse_occupied(directory: Path) -> None:
    """Raises UsageError where a package cannot be published."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"--export_dir {directory} exists and is not empty; remove it or name another one")


def _write_weights(trained: TrainedModel, draft: Path) -> tuple[Servable, tuple[str, ...]]:
    """All weights into one file, and a servable whose tables are mapped from it."""
    tables = tables_of(trained.ranker)
    offsets = offsets_of(tables)
    servable = Servable(trained.ranker, torch.empty(0, dtype=torch.uint8), offsets, precision_of(trained.config))
    constants = {name: tensor for name, tensor in servable.state_dict().items() if name != "tables"}
    named = {f"tables.{name}": table for name, table in tables.items()}
    write_weights(draft / package.WEIGHTS, _aligned(constants, named))
    mapped = map_weights(draft / package.WEIGHTS)
    servable.tables = mapped.flat(list(named))
    return servable, tuple(named)


def _aligned(constants: Mapping[str, Tensor], tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Wider types first, tables side by side: FP32 and FP16 tables stand between what is wider and what is narrower."""
    order = sorted(constants, key=lambda name: -constants[name].itemsize)
    wide = {name: constants[name] for name in order if constants[name].itemsize >= 4}
    narrow = {name: constants[name] for name in order if constants[name].itemsize < 4}
    return {**wide, **tables, **narrow}


def _manifest(trained: TrainedModel, servable: Servable, tables: tuple[str, ...]) -> PackageManifest:
    with torch.inference_mode():
        outputs = servable.predict(example_inputs(servable.signature))
    return PackageManifest(
        model=trained.config.model_config.WhichOneof("model") or "",
        step=trained.step,
        precision=precision_of(trained.config),
        signature=servable.signature,
        tables=tables,
        outputs=tuple(OutputSpec.of(name, outputs[name]) for name in sorted(outputs)),
        versions=package.versions(),
    )


def _tested(made: Package, trained: TrainedModel) -> float:
    found = difference(made, trained.ranker, trained.features)
    if precision_of(trained.config) == "FP32" and not found <= TOLERANCE:
        raise PackageError(
            f"self-test: max |package - checkpoint| = {found:.1e}, more than {TOLERANCE:.0e}; nothing was published"
        )
    return found
