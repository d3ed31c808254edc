"""Weights of the losses of several tasks."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.tasks import tasks

_ADAPTIVE = ("use_pareto_loss_weight", "uncertainty_weighting")


def check_loss_weights(checker: Checker) -> None:
    """Check weights that are adapted while training, and their smallest values."""
    config, heads = checker.config.model_config, tasks(checker)
    towers = [head for head in heads if head.path != "model_config"]
    adaptive = [name for name in _ADAPTIVE if getattr(config, name)]
    if len(adaptive) > 1:
        checker.error(f"model_config.{adaptive[1]}", f"{adaptive[0]} is set as well; choose one")
    for name in adaptive:
        if heads and len(towers) < 2:
            checker.error(f"model_config.{name}", "weighs tasks against each other; the model needs two task towers")
    smallest = {head.path: getattr(head.message, "pareto_min_loss_weight", 0.0) for head in towers}
    if sum(smallest.values()) >= 1:
        last_path = [path for path, value in smallest.items() if value][-1]
        total = f"the sum over all towers is {sum(smallest.values()):.9g}"
        problem = f"{total}; it must be below 1, the sum of the weights"
        checker.error(f"{last_path}.pareto_min_loss_weight", problem)
