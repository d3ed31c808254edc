"""How losses become one: weights of tasks that are found while training, and penalties."""

from __future__ import annotations

import math

from tzrec.config.checker import Checker, repeated
from tzrec.config.rules.tasks import tasks

_PENALTIES = ("l2_reg_embedding", "l1_reg_embedding", "l2_reg_dnn", "l1_reg_dnn")
_FOUND = ("use_pareto_loss_weight", "uncertainty_weighting")


def check_weighing(checker: Checker) -> None:
    """The fields of model_config, of its towers and of their losses that weigh losses."""
    config, found = checker.config.model_config, tasks(checker)
    towers = [task for task in found if task.path != "model_config"]
    asked = [field for field in _FOUND if getattr(config, field)]
    if len(asked) > 1:
        checker.error(f"model_config.{asked[1]}", f"{asked[0]} is set as well; choose one")
    for field in asked:
        if found and len(towers) < 2:
            checker.error(f"model_config.{field}", "weighs tasks against each other; the model needs two task towers")
    for field in _PENALTIES:
        _check_factor(checker, f"model_config.{field}", getattr(config, field))
    for task in found:
        for path, loss in repeated(f"{task.path}.losses", task.message.losses):
            _check_factor(checker, f"{path}.weight", loss.weight)
    least = {task.path: getattr(task.message, "pareto_min_loss_weight", 0.0) for task in towers}
    for path, value in least.items():
        _check_factor(checker, f"{path}.pareto_min_loss_weight", value)
    if sum(least.values()) >= 1:
        last = [path for path, value in least.items() if value][-1]
        said = f"all of them together are {sum(least.values()):.9g}; the weights add up to 1, so leave room below it"
        checker.error(f"{last}.pareto_min_loss_weight", said)


def _check_factor(checker: Checker, path: str, value: float) -> None:
    if not 0 <= value < math.inf:
        checker.error(path, f"{value:g} is not a finite number from 0 up")
