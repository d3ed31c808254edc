"""Write a package: under a temporary name until its self-test has passed, then one rename publishes it.

For a store it is written to a local directory, and uploaded with its manifest last.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from tzrec.checkpoint.file_record import FileRecord
from tzrec.config.load import dump_config, load_config
from tzrec.config.names import did_you_mean
from tzrec.config.vocabulary import self_contained
from tzrec.data.atomic import AtomicDirectory
from tzrec.data.store_directory import StoreDirectory, upload_directory
from tzrec.errors import ConfigError, DataError, PackageError, Problem, UsageError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.fg_json import describe
from tzrec.log import logger
from tzrec.serving.assets import pack_assets
from tzrec.serving.compile import compile_program, example_inputs, trace_servable
from tzrec.serving.draft import PackageDraft
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package import (
    CONFIG,
    FEATURES,
    WEIGHTS,
    Package,
    Program,
    copy_assets,
    ensure_files,
    installed_versions,
    portable_path,
    program_path,
)
from tzrec.serving.package_manifest import MODEL, OutputSpec, PackageManifest, ProgramSpec
from tzrec.serving.parts import split
from tzrec.serving.portable import write_portable
from tzrec.serving.predictor import Predictor, Scorer
from tzrec.serving.profile import add_profile
from tzrec.serving.program_runner import add_runner
from tzrec.serving.request_check import ensure_equal_scores
from tzrec.serving.sample import SampleRequest, SampleRows
from tzrec.serving.selftest import synthetic_batch
from tzrec.serving.selftest_table import QUANTIZED, SELF_TEST, add_self_test
from tzrec.serving.servable import Servable
from tzrec.serving.signature import describe_features
from tzrec.serving.stages import Stages
from tzrec.serving.stored_tables import is_narrowed, stored_tables
from tzrec.serving.trained_model import TrainedModel, precision_of
from tzrec.serving.user_once import UserOnce, make_servable
from tzrec.serving.weights import map_weights, write_weights
from tzrec.storage.path import AnyPath, StorePath
from tzrec.torchrec_adapter import ProgramFormatError

_OCCUPIED = "--export_dir {} exists and is not empty; remove it or choose another one"


@dataclass(frozen=True)
class Extras:
    """Contents of a package besides the model.

    Attributes:
        assets: further files to copy into each package.
        additional: copied into the manifests.
        sample: rows for the self-test and the sample request; None for none.
    """

    assets: tuple[Path, ...] = ()
    additional: Mapping[str, Any] = field(default_factory=dict)
    sample: SampleRows | None = None


def publish(trained: TrainedModel, directory: AnyPath, extras: Extras | None = None) -> dict[str, PackageManifest]:
    """Write a package; or one for each part of a model with parts, in directories of their names.

    Args:
        trained: the model.
        directory: new or empty.
        extras: default: nothing besides the model.

    Returns:
        Manifests by part; the only one of a model without parts has the name "".

    Raises:
        UsageError: the directory exists and is not empty.
        SetupError: there is no C++ compiler.
        ConfigError: `export_config.output_columns` names an output that the model does not have.
        PackageError: an asset is missing, or the self-test found other predictions than those of the checkpoint.
    """
    extras = extras or Extras()
    parts = split(trained) or {"": trained}
    ensure_unoccupied(directory, parts)
    ensure_files(extras.assets)
    _ensure_outputs(parts.values(), trained.config.export_config.output_columns)
    with _draft(directory, parts) as draft:
        manifests = {name: _write_package(part, draft / name, extras, Stages(name)) for name, part in parts.items()}
        ensure_unoccupied(directory, parts)  # another export may have finished first
    return manifests


def _ensure_outputs(parts: Iterable[TrainedModel], output_columns: Sequence[str]) -> None:
    """Raise an error if a name is that of no output of a model, before it is compiled."""
    if not output_columns:
        return
    names: set[str] = set()
    for part in parts:
        batch = synthetic_batch(part.features, 2, torch.Generator().manual_seed(0))
        with torch.inference_mode():
            names |= part.model.predict(part.model(batch)).keys()
    problems = [
        Problem(
            f"export_config.output_columns[{index}]",
            f'"{name}" is no output of the model{did_you_mean(name, sorted(names))}; it has {", ".join(sorted(names))}',
        )
        for index, name in enumerate(output_columns)
        if name not in names
    ]
    if problems:
        raise ConfigError(problems)


def _write_package(trained: TrainedModel, directory: Path, extras: Extras, stages: Stages) -> PackageManifest:
    directory.mkdir(exist_ok=True)
    draft = PackageDraft(directory, trained)
    with stages.stage("write the weights"):
        servable, tables = _write_weights(draft)
    with stages.stage("trace the model"):
        program = trace_servable(servable)
        _write_portable(program, portable_path(directory, MODEL))
    with stages.stage("compile it to machine code"):
        compile_program(program, program_path(directory, MODEL))
    draft.write_file(CONFIG, dump_config(pack_assets(self_contained(trained.config), directory)))
    draft.write_file(
        FEATURES, json.dumps(describe_features(trained.features, servable.signature.features), indent=1) + "\n"
    )
    for add_content in _CONTENTS:
        add_content(draft)
    manifest = _manifest(trained, servable, tables)
    with stages.stage("test the package"):
        compiled = Package(directory, manifest)
        scorers: dict[str, Scorer] = {QUANTIZED: servable} if is_narrowed(trained.config.export_config) else {}
        if portable_path(directory, MODEL).exists():
            scorers["portable"] = Package(directory, manifest, is_portable=True).program()
        add_self_test(draft, {**scorers, "compiled": compiled.program()}, extras.sample)
    if extras.sample is not None:
        _add_sample(draft, compiled.program(), extras.sample)
    copy_assets(extras.assets, directory)
    manifest = replace(
        manifest,
        additional=dict(extras.additional),
        contents=draft.contents,
        self_test=draft.contents[SELF_TEST].about["difference"],
        files={path.name: FileRecord.of(path) for path in sorted(directory.iterdir())},
    )
    manifest.write(directory)
    return manifest


def _write_portable(program: ExportedProgram, path: Path) -> None:
    """Write the exported program; without one, the package is complete but for machines of other kinds."""
    try:
        write_portable(program, path)
    except (ProgramFormatError, PackageError) as error:
        logger.warning("export no exported program, so the package runs on machines of this kind only: %s", error)


def _add_sample(draft: PackageDraft, program: Program, sample: SampleRows) -> None:
    config = draft.trained.config
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    try:
        request = SampleRequest.of(sample, Predictor(program, config, encoder))
    except DataError as error:
        logger.warning("export no sample request: %s", error)
        return
    request.add_to(draft, sample.source)


def _add_fg_json(draft: PackageDraft) -> None:
    """Describe the features for other feature generators; the files that they read are those of the config."""
    config = load_config(str(draft.directory / CONFIG))
    described = describe(config.feature_configs, config.data_config, lambda path, feature: path.name)
    draft.add("fg", "fg.json", json.dumps(described, indent=1, ensure_ascii=False) + "\n")


_CONTENTS: tuple[Callable[[PackageDraft], None], ...] = (add_profile, _add_fg_json, add_runner)
"""Functions that add files to the package, see `PackageDraft.add`; called when programs and config are written."""


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


def _write_weights(draft: PackageDraft) -> tuple[Servable | UserOnce, tuple[str, ...]]:
    """Write all weights into one file; returns a servable whose tables are mapped from it, and their names."""
    trained = draft.trained
    tables = stored_tables(trained.model, trained.config.export_config)
    servable = make_servable(trained, tables.places)
    constants = {name: tensor for name, tensor in servable.state_dict().items() if name != "tables"}
    named_tables = {f"tables.{name}": table for name, table in tables.rows.items()}
    write_weights(draft.directory / WEIGHTS, _aligned(constants, named_tables))
    mapped = map_weights(draft.directory / WEIGHTS)
    servable.tables = mapped.flat(list(named_tables))
    if isinstance(servable, UserOnce) and precision_of(trained.config) == "FP32":
        ensure_equal_scores(servable, Servable(trained.model, servable.tables, tables.places), trained.features)
    if is_narrowed(trained.config.export_config):
        draft.add("quantization", about={f"tables.{name}": kind for name, kind in tables.data_types.items()})
    return servable, tuple(named_tables)


def _aligned(constants: Mapping[str, Tensor], tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Order tensors by width, with adjacent tables: FP32 and FP16 tables go between wider and narrower constants."""
    order = sorted(constants, key=lambda name: -constants[name].itemsize)
    wide = {name: constants[name] for name in order if constants[name].itemsize >= 4}
    narrow = {name: constants[name] for name in order if constants[name].itemsize < 4}
    return {**wide, **tables, **narrow}


def _manifest(trained: TrainedModel, servable: Servable | UserOnce, tables: tuple[str, ...]) -> PackageManifest:
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
