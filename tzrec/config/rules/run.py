"""Sections of a config, length of a run, and export."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.tasks import evaluation_results
from tzrec.config.rules.training_control import warn_of_direction

_SECTIONS = ("train_config", "data_config", "model_config")


def check_sections(checker: Checker) -> None:
    """Report sections that are optional in the schema and required by every run."""
    config = checker.config
    has_unknown_sections = any("." not in problem.field for problem in checker.source.problems)
    for name in _SECTIONS:
        if not config.HasField(name) and not has_unknown_sections:
            checker.error(name, "is missing")
    if not config.feature_configs and not has_unknown_sections:
        checker.error("feature_configs", "is missing; the model needs at least one feature")


def check_length(checker: Checker) -> None:
    """Check that training ends after a number of steps or of epochs."""
    train, path = checker.config.train_config, "train_config"
    if not checker.config.HasField(path):
        return
    if train.num_steps and train.num_epochs:
        received = f"num_steps {train.num_steps} and num_epochs {train.num_epochs} are both set"
        checker.error(f"{path}.num_epochs", f"{received}; choose one")
    elif not train.num_steps and not train.num_epochs and not checker.has_parse_errors(path):
        checker.error(path, "neither num_steps nor num_epochs is set; choose one")


def check_export(checker: Checker) -> None:
    """Check that the metric that selects the best checkpoint is reported."""
    export, known = checker.config.export_config, evaluation_results(checker)
    keeps_best = checker.config.train_config.keep_checkpoint_best > 0
    is_used = keeps_best or export.exporter_type == "best" or export.HasField("best_exporter_metric")
    if is_used and known and export.best_exporter_metric not in known:
        path = "export_config.best_exporter_metric"
        checker.unknown_name(path, "result of an evaluation", export.best_exporter_metric, known)
    elif is_used:
        path, is_larger = "export_config.metric_larger_is_better", export.metric_larger_is_better
        warn_of_direction(checker, path, export.best_exporter_metric, is_larger)
