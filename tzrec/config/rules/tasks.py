"""The chosen model and its tasks: labels, weights, classes, losses and metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.heads import HeadDeclaration, declare_heads
from tzrec.config.metric_names import metric_name
from tzrec.config.names import closest
from tzrec.config.rules.implemented import members
from tzrec.config.rules.losses import LOSSES, check_loss, cure, fits
from tzrec.config.rules.metrics import METRICS, check_metric, check_windows
from tzrec.config.schema import fields_of
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def tasks(checker: Checker) -> Sequence[HeadDeclaration]:
    """Heads of the chosen model that have losses and metrics in the config; none if the model is not implemented."""
    name = checker.config.model_config.WhichOneof("model")
    if name is None or checker.is_unsupported(f"model_config.{name}"):
        return []
    return declare_heads(checker.config).evaluated


def task_names(config: EasyRecConfig) -> list[str]:
    """Names of the tasks of a model with task towers."""
    model = getattr(config.model_config, config.model_config.WhichOneof("model"))
    return [tower.tower_name for tower in getattr(model, "task_towers", ())]


def check_model(checker: Checker) -> None:
    """The chosen model and all its tasks."""
    config = checker.config.model_config
    name = config.WhichOneof("model")
    if name is None:
        if not checker.has_parse_errors("model_config"):
            known = members(config, "model", "tzrec.models")
            checker.error("model_config", f"no model is chosen; there are {', '.join(known)}")
        return
    model = getattr(config, name)
    counts_experts = "num_expert" in fields_of(model) and model.HasField("num_expert")
    if counts_experts and model.num_expert == 0 and not checker.is_unsupported(f"model_config.{name}"):
        checker.error(f"model_config.{name}.num_expert", "0 experts; the model needs at least 1")
    _check_tasks(checker, name)


def _check_tasks(checker: Checker, model: str) -> None:
    found = tasks(checker)
    broken = checker.has_parse_errors(f"model_config.{model}")
    if not found and not checker.is_unsupported(f"model_config.{model}") and not broken:
        checker.error(f"model_config.{model}.task_towers", "is empty; the model needs at least one tower")
    towers = [task for task in found if task.path != "model_config"]
    named = ((f"{task.path}.tower_name", task.name) for task in towers if task.name)
    check_unique(checker, "tower", named)
    if found and not checker.config.data_config.label_fields and not checker.has_parse_errors("data_config"):
        checker.error("data_config.label_fields", f"is empty; {model} learns from at least one label column")
    for task in towers:
        if not task.name and task.message.HasField("tower_name"):
            checker.error(f"{task.path}.tower_name", "is empty; it is the suffix of the outputs of this tower")
        _check_columns(checker, task)
    for task in found:
        _check_losses(checker, task)
        _check_metrics(checker, task, "metrics")
        _check_metrics(checker, task, "train_metrics")


def _check_columns(checker: Checker, task: HeadDeclaration) -> None:
    data = checker.config.data_config
    label_fields, weight_fields = list(data.label_fields), list(data.sample_weight_fields)
    for field, where, known in (
        ("label_name", "label_fields", label_fields),
        ("task_space_indicator_label", "label_fields", label_fields),
        ("sample_weight_name", "sample_weight_fields", weight_fields),
    ):
        if field not in fields_of(task.message) or not task.message.HasField(field):
            continue
        name = getattr(task.message, field)
        reported = where == "label_fields" and not known  # the empty list has been reported once
        if name not in known and not reported:
            near = closest(name, known)
            meant = f'; did you mean "{near}"?' if near else ""
            listed = f"({', '.join(known)})" if known else "(empty)"
            checker.error(f"{task.path}.{field}", f'"{name}" is not in data_config.{where} {listed}{meant}')
    for field in ("weight", "in_task_space_weight", "out_task_space_weight"):
        if getattr(task.message, field, 0) < 0:
            checker.error(f"{task.path}.{field}", f"{getattr(task.message, field):g} is below 0")


def _check_losses(checker: Checker, task: HeadDeclaration) -> None:
    losses = list(_chosen(checker, f"{task.path}.losses", task.message.losses, "loss"))
    if not task.message.losses and not checker.has_parse_errors(task.path):
        checker.error(f"{task.path}.losses", "is empty; the task learns from at least one loss")
    check_unique(checker, "loss", losses)
    for path, name in losses:
        message = getattr(task.message.losses[_index(path)], name)
        check_loss(checker, path, message)
    count = task.message.num_class
    unfit = [name for _, name in losses if name in LOSSES and not fits(count, *LOSSES[name][:2])]
    if unfit:
        checker.error(f"{task.path}.num_class", f"{count} does not go with {unfit[0]}; {cure(unfit[0], count)}")


def _check_metrics(checker: Checker, task: HeadDeclaration, field: str) -> None:
    configs = getattr(task.message, field)
    metrics = list(_chosen(checker, f"{task.path}.{field}", configs, "metric"))
    named = ((path, metric_name(configs[_index(path)])) for path, _ in metrics)
    check_unique(checker, "metric", named)
    losses = [each.WhichOneof("loss") for each in task.message.losses]
    given = {LOSSES[name][2] for name in losses if name in LOSSES}
    count = task.message.num_class
    sound = all(name in LOSSES and fits(count, *LOSSES[name][:2]) for name in losses)
    if field == "train_metrics":
        for path, config in repeated(f"{task.path}.{field}", configs):
            check_windows(checker, path, config)
    for path, name in metrics:
        check_metric(checker, path, getattr(configs[_index(path)], name), count)
        if name not in METRICS or not sound or not losses:
            continue  # a task whose losses are wrong is reported once, by them
        least, most, needed = METRICS[name]
        if needed not in given:
            checker.error(path, f"compares {needed}, but with {' and '.join(losses)} this task predicts {_one(given)}")
        elif not fits(count, least, most):
            other = "multiclass_auc" if count > 1 else "auc"
            checker.error(path, f"does not go with num_class {count}; use {other}")


def _one(given: set[str]) -> str:
    return " and ".join(sorted(given))


def _chosen(checker: Checker, path: str, configs: Any, oneof: str) -> Iterator[tuple[str, str]]:
    """The implemented members chosen in a list of losses or metrics: (path, name)."""
    for here, config in repeated(path, configs):
        name = config.WhichOneof(oneof)
        if name is None:
            other = oneof == "loss" and config.ListFields()  # the loss of another kind of model
            if not other and not checker.has_parse_errors(here):
                known = members(config, oneof, {"loss": "tzrec.losses", "metric": "tzrec.metrics"}[oneof])
                checker.error(here, f"no {oneof} is chosen; there are {', '.join(known)}")
        elif not checker.is_unsupported(f"{here}.{name}"):
            yield f"{here}.{name}", name


def _index(path: str) -> int:
    """The index in a path that ends in `[i].name`."""
    return int(path[path.rindex("[") + 1 : path.rindex("]")])
