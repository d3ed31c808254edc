"""A trained model read back whole, on one rank, from a checkpoint of any number of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tzrec.checkpoint import store
from tzrec.checkpoint.average import restore_average
from tzrec.checkpoint.restore import restore
from tzrec.checkpoint.store import Checkpoint
from tzrec.errors import CheckpointError
from tzrec.features.base import Feature
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.optim.average import uses_average
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that belongs to it; `step` counts training steps."""

    ranker: RecModel
    config: EasyRecConfig
    features: Mapping[str, Feature]
    step: int


def precision_of(config: EasyRecConfig) -> str:
    """What matrix products are computed in: `export_config.mixed_precision`, never inherited from training."""
    return config.export_config.mixed_precision or "FP32"


def choose(config: EasyRecConfig, path: str | None) -> Checkpoint:
    """The checkpoint named, or the latest or best of model_dir as `export_config` says.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    export, model_dir = config.export_config, Path(config.model_dir)
    if path:
        return store.find(Path(path))
    if export.exporter_type == "best":
        return store.best(model_dir, export.best_exporter_metric, export.metric_larger_is_better)
    return store.find(model_dir)


def load_trained(config: EasyRecConfig, features: Mapping[str, Feature], checkpoint: Checkpoint) -> TrainedModel:
    """Build the model of a config and fill it, with the moving average of the dense parameters where there is one.

    Raises:
        CheckpointError: the checkpoint lacks a weight of this model, or its moving average, or has it in another size.
    """
    ranker = build_model(config, features, table_device=torch.device("meta"))
    ranker.embedding_group.to_empty(device="cpu")  # first values would only be overwritten
    problems = restore(checkpoint.path / "model", ranker.state_dict()).lines()
    if problems:
        lines = "\n  ".join(problems)
        raise CheckpointError(f"{checkpoint.path} does not fit the model of this config:\n  {lines}")
    if uses_average(config.export_config, config.train_config.dense_optimizer):
        restore_average(checkpoint, ranker.state_dict())
    return TrainedModel(ranker.eval(), config, features, checkpoint.step)
