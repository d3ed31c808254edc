"""Requirements of AITM: a tower per step of a path, and the behavioral calibrator."""

from __future__ import annotations

from tzrec.config.heads import AuxiliaryLoss, DeclaredHeads, tower_heads
from tzrec.config.kwargs import kwargs
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CALIBRATOR = "behavioral_calibrator"


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare a head per tower and the calibrator loss."""
    factor = kwargs(config.model_config.aitm)["calibrator_weight"]
    return DeclaredHeads(tower_heads(config), [AuxiliaryLoss(CALIBRATOR, factor)])
