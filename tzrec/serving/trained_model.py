"""Trained model: the unsharded model of a checkpoint, as export needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tzrec.features.base import Feature
from tzrec.models.base import RecModel
from tzrec.ops.autocast import usable_precision
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.storage.path import AnyPath


@dataclass(frozen=True)
class TrainedModel:
    """Unsharded model with its config and features.

    Attributes:
        model: in eval mode, on the CPU.
        config: config of the model.
        features: by name.
        step: last trained step.
        checkpoint: digest of its checkpoint.
        model_dir: directory of that checkpoint; None if it is of no run.
    """

    model: RecModel
    config: EasyRecConfig
    features: Mapping[str, Feature]
    step: int
    checkpoint: str = ""
    model_dir: AnyPath | None = None


def precision_of(config: EasyRecConfig) -> str:
    """Return the precision of matrix products in serving: `export_config.mixed_precision`, not that of training."""
    return usable_precision(config.export_config.mixed_precision, "cpu") or "FP32"
