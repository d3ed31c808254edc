"""Requirements of ESMM: two towers and a head for the conversion after a click."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import DeclaredHeads, tower_heads
from tzrec.config.rules.towers import check_binary_towers
from tzrec.protos.models.more_multi_task_pb2 import ESMM
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the heads of click and of click and conversion, and, derived from the latter, of `conditional_name`."""
    towers = tower_heads(config)
    derived = [tower.derive(config.model_config.esmm.conditional_name) for tower in towers[1:2]]
    return DeclaredHeads([*towers, *derived])


def check(checker: Checker, path: str, message: ESMM) -> None:
    """Check that there are two binary towers, and that `conditional_name` is a new name."""
    check_binary_towers(checker, path, message)
    count = len(message.task_towers)
    if count not in (0, 2):
        checker.error(f"{path}.task_towers", f"{count} towers; esmm has exactly two, click and conversion")
    if message.conditional_name in [tower.tower_name for tower in message.task_towers]:
        problem = f'"{message.conditional_name}" is a tower; the conversion after a click needs another name'
        checker.error(f"{path}.conditional_name", problem)
