"""Early stopping, learning rates on plateaus and best checkpoints: all of them need evaluations."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.eval_split import evaluation_path


def check_training_control(checker: Checker) -> None:
    """Check the fields of train_config that depend on evaluations."""
    train, path = checker.config.train_config, "train_config"
    for name in ("early_stopping", "reduce_on_plateau"):
        if train.HasField(name):
            _check_has_evaluations(checker, f"{path}.{name}")
    if train.keep_checkpoint_best:
        best_path = f"{path}.keep_checkpoint_best"
        if not train.keep_checkpoint_max:
            problem = "all checkpoints are kept; set keep_checkpoint_max to how many of the newest to keep"
            checker.error(best_path, problem)
        _check_has_evaluations(checker, best_path)


def _check_has_evaluations(checker: Checker, path: str) -> None:
    if not evaluation_path(checker.config) and not checker.has_parse_errors("eval_input_path"):
        checker.error(path, "needs evaluations: set eval_input_path or data_config.eval_split")
