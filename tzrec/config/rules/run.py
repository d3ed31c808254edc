"""The sections about a run: train_config, eval_config, export_config, and that none is missing."""

from __future__ import annotations

from tzrec.config.checker import Checker, repeated
from tzrec.config.metric_names import metric_name
from tzrec.config.rules.tasks import tasks

_SECTIONS = ("train_config", "data_config", "model_config")
_SUMMARIES = ("loss", "learning_rate", "parameter", "global_gradient_norm", "gradient_norm", "gradient")
_SHOWN = ("loss", "learning_rate")
_EXPORTERS = ("latest", "best")


def check_sections(checker: Checker) -> None:
    """Sections that the schema lets out and no run can do without."""
    config = checker.config
    unreadable = any("." not in problem.field for problem in checker.source.problems)
    for name in _SECTIONS:
        if not config.HasField(name) and not unreadable:
            checker.error(name, "is missing")
    if not config.feature_configs and not unreadable:
        checker.error("feature_configs", "is missing; the model needs at least one feature")


def check_train(checker: Checker) -> None:
    """train_config."""
    config = checker.config
    train, path = config.train_config, "train_config"
    if not config.HasField(path):
        return
    if train.num_steps and train.num_epochs:
        received = f"num_steps {train.num_steps} and num_epochs {train.num_epochs} are both set"
        checker.error(f"{path}.num_epochs", f"{received}; choose one")
    elif not train.num_steps and not train.num_epochs and not checker.has_parse_errors(path):
        checker.error(path, "neither num_steps nor num_epochs is set; choose one")
    for here, name in repeated(f"{path}.tensorboard_summaries", train.tensorboard_summaries):
        if name not in _SUMMARIES:
            checker.unknown_name(here, "summary", name, _SUMMARIES)
        elif name not in _SHOWN:
            checker.error(here, f'"{name}" is not implemented yet; {" and ".join(_SHOWN)} are always shown')
    if train.HasField("num_threads") and train.num_threads == 0:
        checker.error(f"{path}.num_threads", "0 threads; leave it out to share the cores among the ranks")
    for section, message in ((path, train), ("eval_config", config.eval_config)):
        if message.log_step_count_steps == 0:
            checker.error(f"{section}.log_step_count_steps", "0 steps between two lines; set it above 0")
    _check_precision(checker, path, train.mixed_precision)


def check_export(checker: Checker) -> None:
    """export_config."""
    export, path = checker.config.export_config, "export_config"
    _check_precision(checker, path, export.mixed_precision)
    if export.exporter_type not in _EXPORTERS:
        checker.unknown_name(f"{path}.exporter_type", "exporter_type", export.exporter_type, _EXPORTERS)
    known = results(checker)
    keeps = checker.config.train_config.keep_checkpoint_best > 0
    chosen = keeps or export.exporter_type == "best" or export.HasField("best_exporter_metric")
    if chosen and known and export.best_exporter_metric not in known:
        checker.unknown_name(
            f"{path}.best_exporter_metric", "result of an evaluation", export.best_exporter_metric, known
        )


def results(checker: Checker) -> list[str]:
    """What an evaluation reports, metrics before losses."""
    found = tasks(checker)
    metrics = [f"{metric_name(each)}{task.suffix}" for task in found for each in task.message.metrics]
    losses = [f"{each.WhichOneof('loss')}{task.suffix}" for task in found for each in task.message.losses]
    return metrics + losses


def _check_precision(checker: Checker, path: str, value: str) -> None:
    known = ("", "BF16") if checker.on_cpu else ("", "BF16", "FP16")
    if value == "FP16" and checker.on_cpu:
        checker.error(f"{path}.mixed_precision", "FP16 needs CUDA; use BF16, or leave it out for FP32")
    elif value not in known:
        offered = [name for name in known if name]
        checker.unknown_name(f"{path}.mixed_precision", "precision", value, offered)
