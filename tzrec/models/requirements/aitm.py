"""Requirements of AITM: a tower per stage of a path, and the behavioral calibrator."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import AuxiliaryLoss, DeclaredHeads, tower_heads
from tzrec.config.kwargs import kwargs
from tzrec.config.rules.towers import check_binary_towers
from tzrec.protos.models.more_multi_task_pb2 import AITM
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CALIBRATOR = "behavioral_calibrator"


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare a head per tower and the calibrator loss."""
    factor = kwargs(config.model_config.aitm)["calibrator_weight"]
    return DeclaredHeads(tower_heads(config), [AuxiliaryLoss(CALIBRATOR, factor)])


def check(checker: Checker, path: str, message: AITM) -> None:
    """Check that there are several binary towers whose last layers have equal widths."""
    check_binary_towers(checker, path, message)
    if len(message.task_towers) == 1:
        checker.error(f"{path}.task_towers", "1 tower; a path has at least two stages")
    ends = [list(tower.mlp.hidden_units[-1:]) for tower in message.task_towers]
    for index, end in enumerate(ends):
        if end != ends[0]:
            problem = f"ends {_units(end)}, that of the first stage {_units(ends[0])}; make them equal"
            checker.error(f"{path}.task_towers[{index}].mlp", problem)


def _units(end: list[int]) -> str:
    return f"with {end[0]} units" if end else "without a layer"
