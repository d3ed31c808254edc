"""What evaluations and the clock decide: early stopping, plateaus, the best checkpoints, a limit of time."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.run import results
from tzrec.protos.train_pb2 import EarlyStopping, ReduceOnPlateau


def check_steering(checker: Checker) -> None:
    """The fields of train_config that steer a run by its evaluations or the clock."""
    train, path = checker.config.train_config, "train_config"
    if train.HasField("early_stopping"):
        _check_watched(checker, f"{path}.early_stopping", train.early_stopping)
    if train.HasField("reduce_on_plateau"):
        _check_watched(checker, f"{path}.reduce_on_plateau", train.reduce_on_plateau)
        if not 0 < train.reduce_on_plateau.factor < 1:
            checker.error(f"{path}.reduce_on_plateau.factor", f"{train.reduce_on_plateau.factor:g} is not in (0, 1)")
        if not 0 <= train.reduce_on_plateau.min_factor < 1:
            said = f"{train.reduce_on_plateau.min_factor:g} is not in [0, 1)"
            checker.error(f"{path}.reduce_on_plateau.min_factor", said)
    if train.HasField("max_minutes") and not train.max_minutes > 0:
        checker.error(f"{path}.max_minutes", f"{train.max_minutes:g} is not above 0; leave it out for no limit")
    if train.keep_checkpoint_best:
        here = f"{path}.keep_checkpoint_best"
        if not train.keep_checkpoint_max:
            checker.error(here, "all checkpoints are kept; set keep_checkpoint_max to how many of the newest to keep")
        _check_evaluates(checker, here)


def _check_watched(checker: Checker, path: str, watched: EarlyStopping | ReduceOnPlateau) -> None:
    known = results(checker)
    if known and watched.metric not in known:
        checker.unknown_name(f"{path}.metric", "result of an evaluation", watched.metric, known)
    if watched.patience == 0:
        checker.error(f"{path}.patience", "0 evaluations; set it above 0")
    if not watched.min_delta >= 0:
        checker.error(f"{path}.min_delta", f"{watched.min_delta:g} is below 0")
    _check_evaluates(checker, path)


def _check_evaluates(checker: Checker, path: str) -> None:
    if not checker.config.eval_input_path and not checker.has_parse_errors("eval_input_path"):
        checker.error(path, "needs evaluations, and eval_input_path is empty")
