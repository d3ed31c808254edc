"""Export a package: the function behind `tzrec export` and `tzrec.export`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tzrec import registry
from tzrec.env import RankInfo
from tzrec.formatting import format_bytes
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.mlflow_tracker import register_package
from tzrec.run.sample import read_sample
from tzrec.run.session import Session
from tzrec.serving.compile import require_compiler
from tzrec.serving.measurements import format_self_test
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.publish import Extras, ensure_unoccupied, publish
from tzrec.serving.selftest_table import SELF_TEST
from tzrec.serving.trained_model import TrainedModel
from tzrec.storage.path import AnyPath

ONE_RANK = RankInfo(rank=0, world_size=1, local_rank=0, local_world_size=1, launched=False)


def export(
    config: EasyRecConfig,
    export_dir: AnyPath,
    checkpoint_path: str | None = None,
    assets: Sequence[Path] = (),
    additional: Mapping[str, Any] | None = None,
    sample_input_path: str = "",
) -> Mapping[str, PackageManifest]:
    """Compile the model of a checkpoint into a package. One process does it alone, whatever the number of ranks.

    A model with parts, such as the towers of a match model, becomes several packages, in directories of their names.

    Args:
        config: checked, with edits and flags applied.
        export_dir: new or empty directory.
        checkpoint_path: a checkpoint or a model directory. Default: selected by `export_config`.
        assets: further files to copy into the package.
        additional: values to store in the manifest for the servers of the package.
        sample_input_path: rows for the self-test and the sample request. Default: the training data if it is there,
            else synthetic rows.

    Returns:
        Manifests by part; the only one of a model without parts has the name "".

    Raises:
        UsageError: the directory is not empty.
        CheckpointError: there is no checkpoint, or it is damaged or of another model.
        SetupError: there is no C++ compiler.
        PackageError: an asset is missing, or the package does not reproduce the outputs of the checkpoint.
        DataError: the rows of `sample_input_path` cannot be read.
    """
    start = time.perf_counter()
    part_names = registry.resolve_class(config.model_config, "model").part_names
    ensure_unoccupied(export_dir, part_names or ("",))
    require_compiler()
    with Session.load(config, checkpoint_path, purpose="serving", rank_info=ONE_RANK) as session:
        features, digest = session.encoder.features, session.weights_digest
        assert session.checkpoint_path is not None
        model_dir = session.checkpoint_path.parent
        trained = TrainedModel(session.rec_model, config, features, session.step, digest, model_dir)
        sample = read_sample(config, session.encoder, sample_input_path)
        manifests = publish(trained, export_dir, Extras(tuple(assets), dict(additional or {}), sample))
    for name, manifest in manifests.items():
        size = format_bytes(sum(file.size for file in manifest.files.values()))
        directory = export_dir / name if name else export_dir
        logger.info("export %s  %s in %.0f s", directory, size, time.perf_counter() - start)
        logger.info("self-test: %s", format_self_test(manifest.contents[SELF_TEST].about))
    register_package(config, model_dir, export_dir)
    if "" in manifests:
        logger.info("next   tzrec serve --model_path %s", shlex.quote(str(export_dir)))
    return manifests
