"""Task towers of models that compare or multiply the probabilities of their tasks."""

from __future__ import annotations

from typing import Any

from tzrec.config.checker import Checker, repeated
from tzrec.config.options import implemented_members, member_messages, task_rule
from tzrec.config.schema import oneof_of
from tzrec.protos.loss_pb2 import LossConfig
from tzrec.protos.options_pb2 import PROBABILITIES, TaskRule


def check_binary_towers(checker: Checker, path: str, model: Any) -> None:
    """Check that the losses of all towers estimate the probability of a binary label.

    Args:
        checker: receives the problems.
        path: path of the model.
        model: model with a field `task_towers`.
    """
    oneof = oneof_of(LossConfig, "loss")
    messages = member_messages(oneof)
    allowed = [name for name in implemented_members(oneof) if _estimates_probability(task_rule(messages[name]))]
    for tower_path, tower in repeated(f"{path}.task_towers", model.task_towers):
        for loss_path, loss in repeated(f"{tower_path}.losses", tower.losses):
            name = loss.WhichOneof("loss")
            if name and name not in allowed and not checker.is_unsupported(f"{loss_path}.{name}"):
                message = f"the tower must predict the probability of a binary label; use {' or '.join(allowed)}"
                checker.error(f"{loss_path}.{name}", message)


def _estimates_probability(rule: TaskRule) -> bool:
    return rule.prediction == PROBABILITIES and rule.max_num_class == 1 and not rule.ranks_only
