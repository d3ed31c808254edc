"""Requirements of PLE: experts of a level have equal widths."""

from __future__ import annotations

from tzrec.config.checker import Checker, repeated
from tzrec.protos.models.multi_task_rank_pb2 import PLE


def check(checker: Checker, path: str, message: PLE) -> None:
    """Check the experts of each level."""
    for level_path, level in repeated(f"{path}.extraction_networks", message.extraction_networks):
        own, shared = level.task_expert_net.hidden_units[-1:], level.share_expert_net.hidden_units[-1:]
        if own and shared and own[0] != shared[0]:
            received = f"ends with {shared[0]} units, task_expert_net with {own[0]}"
            problem = f"{received}; they are mixed, so make them equal"
            checker.error(f"{level_path}.share_expert_net.hidden_units", problem)
