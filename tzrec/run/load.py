"""Open a model to score tables in memory: a package, a checkpoint or a model directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tzrec.checkpoint.store import list_checkpoints
from tzrec.config.check import load_checked
from tzrec.errors import CheckpointError, DataError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.predict import ensure_whole
from tzrec.run.session import Session
from tzrec.serving.frames import as_table, like
from tzrec.serving.predictor import Predictor
from tzrec.serving.predictor import load as load_package
from tzrec.storage.path import AnyPath, to_path

CONFIG = "pipeline.config"


def load(path: str) -> Predictor:
    """Open a package, a checkpoint, or a model directory with the checkpoint that its `export_config` selects.

    Raises:
        PackageError: a package that is missing, damaged or too new.
        CheckpointError: there is no checkpoint, it is damaged or of another model.
        UsageError: the model of the checkpoint is one whose parts are exported.
    """
    directory = to_path(path)
    if "model.ckpt-" in directory.name:
        return load_checkpoint(_config_beside(directory), path)
    if (directory / CONFIG).exists() and list_checkpoints(directory):
        return load_checkpoint(load_checked(str(directory / CONFIG), {"model_dir": path}), None)
    return load_package(path)


def load_checkpoint(config: EasyRecConfig, path: str | None) -> Predictor:
    """Open a checkpoint.

    Args:
        config: checked.
        path: a checkpoint or a model directory. Default: selected by `export_config`.

    Raises:
        CheckpointError, UsageError: see `load`.
    """
    ensure_whole(config)
    with Session.load(config, path, purpose="serving") as session:
        return Predictor(session.scorer(), config, session.encoder)


def _config_beside(checkpoint: AnyPath) -> EasyRecConfig:
    path = checkpoint.parent / CONFIG
    if not path.exists():
        raise CheckpointError(
            f"{checkpoint}: there is no {CONFIG} beside it; pass the config of its run: "
            "tzrec.predict(frame, config=..., checkpoint_path=...)"
        )
    return load_checked(str(path))


def score(
    config: EasyRecConfig, frame: Any, package: str | None, checkpoint: str | None, reserved_columns: Sequence[str]
) -> Any:
    """Score a frame with a package, or with a checkpoint of a config.

    Returns:
        The outputs of the model, then the reserved columns; of the kind that `Predictor.predict` returns.

    Raises:
        DataError: see `Predictor.predict`; or a reserved column is missing, or has the name of an output.
    """
    copies = as_table(frame, reserved_columns)
    predictor = load_package(package) if package is not None else load_checkpoint(config, checkpoint)
    scores = predictor.predict_table(frame)
    for name in reserved_columns:
        if name in scores.column_names:
            raise DataError(f'reserved_columns: "{name}" is also the name of an output; rename the column')
        scores = scores.append_column(name, copies.column(name))
    return like(scores, frame)
