"""Early stopping, learning rates on plateaus and best checkpoints: all of them need evaluations."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.eval_split import evaluation_path
from tzrec.config.rules.tasks import best_values
from tzrec.protos.options_pb2 import BestValue


def check_training_control(checker: Checker) -> None:
    """Check the fields of train_config that depend on evaluations."""
    train, path = checker.config.train_config, "train_config"
    for name in ("early_stopping", "reduce_on_plateau"):
        if train.HasField(name):
            _check_has_evaluations(checker, f"{path}.{name}")
            control = getattr(train, name)
            warn_of_direction(checker, f"{path}.{name}.larger_is_better", control.metric, control.larger_is_better)
    if train.keep_checkpoint_best:
        best_path = f"{path}.keep_checkpoint_best"
        if not train.keep_checkpoint_max:
            problem = "all checkpoints are kept; set keep_checkpoint_max to how many of the newest to keep"
            checker.error(best_path, problem)
        _check_has_evaluations(checker, best_path)


def warn_of_direction(checker: Checker, path: str, metric: str, is_larger: bool) -> None:
    """Warn of a metric whose worst values count as its best."""
    best = best_values(checker).get(metric, BestValue.BETWEEN)
    if best != BestValue.BETWEEN and is_larger != (best == BestValue.LARGEST):
        right, wrong = ("larger", "smaller") if best == BestValue.LARGEST else ("smaller", "larger")
        received = f"{str(is_larger).lower()}: {wrong} values of {metric} count as better, and {right} ones are"
        checker.warning(path, f"{received}; set it to {str(not is_larger).lower()}")


def _check_has_evaluations(checker: Checker, path: str) -> None:
    if not evaluation_path(checker.config) and not checker.has_parse_errors("eval_input_path"):
        checker.error(path, "needs evaluations: set eval_input_path or data_config.eval_split")
