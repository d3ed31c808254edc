"""Model, tasks, losses and metrics of a config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.heads import HeadDeclaration, declare_heads
from tzrec.config.metric_names import metric_name
from tzrec.config.options import fits_num_class, implemented_members, member_messages, task_rule
from tzrec.config.schema import descriptor_of, oneof_of
from tzrec.protos.loss_pb2 import LossConfig
from tzrec.protos.options_pb2 import BestValue, Prediction, TaskRule
from tzrec.protos.pipeline_pb2 import EasyRecConfig

CANDIDATE_LOSS, CANDIDATE_METRIC = "softmax_cross_entropy", "recall_at_k"
"""Loss and metric of a head whose classes are candidates."""
_PREDICTION_NAMES = {Prediction.PROBABILITIES: "probabilities", Prediction.VALUES: "values"}


def tasks(checker: Checker) -> Sequence[HeadDeclaration]:
    """Heads of the chosen model that have losses and metrics in the config; none if the model is not implemented."""
    name = checker.config.model_config.WhichOneof("model")
    if name is None or checker.is_unsupported(f"model_config.{name}"):
        return []
    return declare_heads(checker.config).evaluated


def task_names(config: EasyRecConfig) -> list[str]:
    """Return the names of the tasks of a model with task towers."""
    name = config.model_config.WhichOneof("model")
    model = getattr(config.model_config, name) if name else None
    return [tower.tower_name for tower in getattr(model, "task_towers", ())]


def evaluation_results(checker: Checker) -> list[str]:
    """Return the names of the values that an evaluation reports, metrics before losses."""
    heads = tasks(checker)
    metrics = [f"{metric_name(config)}{head.suffix}" for head in heads for config in head.message.metrics]
    losses = [f"{config.WhichOneof('loss')}{head.suffix}" for head in heads for config in head.message.losses]
    auxiliary_losses = declare_heads(checker.config).evaluated_auxiliary_losses
    return metrics + losses + [loss.name for loss in auxiliary_losses]


def best_values(checker: Checker) -> dict[str, BestValue]:
    """Map the values that an evaluation reports to which of them is best: of losses the smallest one."""
    best = dict.fromkeys(evaluation_results(checker), BestValue.SMALLEST)
    for head in tasks(checker):
        for config in head.message.metrics:
            if name := config.WhichOneof("metric"):
                best[f"{metric_name(config)}{head.suffix}"] = task_rule(descriptor_of(getattr(config, name))).best
    return best


def check_model(checker: Checker) -> None:
    """Check that a model is chosen, and its tasks."""
    config = checker.config.model_config
    name = config.WhichOneof("model")
    if name is not None:
        _check_tasks(checker, name)
    elif not checker.has_parse_errors("model_config"):
        known = implemented_members(oneof_of(config, "model"))
        checker.error("model_config", f"no model is chosen; use one of {', '.join(known)}")


def _check_tasks(checker: Checker, model: str) -> None:
    path, heads = f"model_config.{model}", tasks(checker)
    if not heads and not checker.is_unsupported(path) and not checker.has_parse_errors(path):
        checker.error(f"{path}.task_towers", "is empty; the model needs at least one tower")
    towers = [head for head in heads if head.path != "model_config"]
    check_unique(checker, "tower", ((f"{head.path}.tower_name", head.name) for head in towers if head.name))
    if heads and not checker.config.data_config.label_fields and not checker.has_parse_errors("data_config"):
        checker.error("data_config.label_fields", f"is empty; {model} needs at least one label column")
    for head in heads:
        if head.candidates:
            _check_candidate_head(checker, model, head)
            continue
        _check_losses(checker, head)
        _check_metrics(checker, head, "metrics")
        _check_metrics(checker, head, "train_metrics")
        if getattr(head.message, "metrics_in_task_space", False) and not head.message.task_space_indicator_label:
            message = "is true without a space; name its label in task_space_indicator_label"
            checker.error(f"{head.path}.metrics_in_task_space", message)
        if getattr(head.message, "task_space_indicator_label", ""):
            weights = head.message.in_task_space_weight, head.message.out_task_space_weight
            if not any(weights) and not checker.has_parse_errors(head.path):
                message = "0 inside and outside of the space: the task has no loss; set it to 1"
                checker.error(f"{head.path}.in_task_space_weight", message)


def _check_losses(checker: Checker, task: HeadDeclaration) -> None:
    losses = list(_members(checker, f"{task.path}.losses", task.message.losses, "loss"))
    if not task.message.losses and not checker.has_parse_errors(task.path):
        checker.error(f"{task.path}.losses", "is empty; the task needs at least one loss")
    check_unique(checker, "loss", ((path, name) for path, name, _ in losses))
    num_class = task.message.num_class
    for _, name, message in losses:
        rule = task_rule(message.DESCRIPTOR)
        if not fits_num_class(rule, num_class):
            fix = _num_class_fix(rule, num_class)
            checker.error(f"{task.path}.num_class", f"{num_class} is not valid for {name}; {fix}")
            return


def _check_candidate_head(checker: Checker, model: str, head: HeadDeclaration) -> None:
    """Check that a head over candidates has the only loss and the only metric that are defined for it."""
    losses = list(_members(checker, f"{head.path}.losses", head.message.losses, "loss"))
    for path, name, _ in losses:
        if name != CANDIDATE_LOSS:
            checker.error(path, f"{model} compares an item with negatives; its loss is {CANDIDATE_LOSS}")
    if len(head.message.losses) > 1:
        checker.error(f"{head.path}.losses", f"{len(head.message.losses)} losses; {model} has one, {CANDIDATE_LOSS}")
    elif not head.message.losses and not checker.has_parse_errors(head.path):
        checker.error(f"{head.path}.losses", f"is empty; the loss of {model} is {CANDIDATE_LOSS}")
    for field in ("metrics", "train_metrics"):
        configs = getattr(head.message, field)
        metrics = list(_members(checker, f"{head.path}.{field}", configs, "metric"))
        check_unique(checker, "metric", ((path, metric_name(configs[_index(path)])) for path, _, _ in metrics))
        for path, name, _ in metrics:
            if name != CANDIDATE_METRIC:
                checker.error(path, f"{model} ranks candidates; its metric is {CANDIDATE_METRIC}")


def _num_class_fix(rule: TaskRule, num_class: int) -> str:
    """Return the fix for a loss that is not for tasks with this number of classes."""
    smallest, largest = rule.min_num_class, rule.max_num_class
    range_text = f"num_class {smallest}" if smallest == largest else f"num_class from {smallest} up"
    alternatives = _members_for(oneof_of(LossConfig, "loss"), rule.prediction, num_class)
    return f"use {', '.join(alternatives)} or {range_text}" if alternatives else f"use {range_text}"


def _members_for(oneof: Any, prediction: int, num_class: int) -> list[str]:
    """Return the losses or metrics that are implemented and for tasks with this prediction and number of classes."""
    rules = {name: task_rule(message) for name, message in member_messages(oneof).items()}
    return [
        name
        for name in implemented_members(oneof)
        if rules[name].prediction == prediction and fits_num_class(rules[name], num_class)
    ]


def _check_metrics(checker: Checker, task: HeadDeclaration, field: str) -> None:
    configs = getattr(task.message, field)
    metrics = list(_members(checker, f"{task.path}.{field}", configs, "metric"))
    check_unique(checker, "metric", ((path, metric_name(configs[_index(path)])) for path, _, _ in metrics))
    losses = {loss: getattr(config, loss) for config in task.message.losses if (loss := config.WhichOneof("loss"))}
    rules = [task_rule(message.DESCRIPTOR) for message in losses.values()]
    num_class = task.message.num_class
    if not rules or not all(fits_num_class(rule, num_class) for rule in rules):
        return  # a task whose losses are wrong is reported once, by them
    predictions = {rule.prediction for rule in rules}
    for path, _, message in metrics:
        rule = task_rule(message.DESCRIPTOR)
        if rule.prediction not in predictions:
            predicted = " and ".join(sorted(_PREDICTION_NAMES[prediction] for prediction in predictions))
            compared = _PREDICTION_NAMES[rule.prediction]
            checker.error(path, f"compares {compared}, but with {' and '.join(losses)} this task predicts {predicted}")
        elif not fits_num_class(rule, num_class):
            oneof = oneof_of(configs[_index(path)], "metric")
            alternatives = ", ".join(_members_for(oneof, rule.prediction, num_class))
            checker.error(path, f"is not valid for num_class {num_class}; use one of {alternatives}")


def _members(checker: Checker, path: str, configs: Any, oneof: str) -> Iterator[tuple[str, str, Any]]:
    """Iterate over the losses or metrics that are chosen and implemented: path, name and message."""
    for config_path, config in repeated(path, configs):
        name = config.WhichOneof(oneof)
        if name is None:
            is_other = oneof == "loss" and config.ListFields()  # a loss of another kind of model
            if not is_other and not checker.has_parse_errors(config_path):
                known = implemented_members(oneof_of(config, oneof))
                checker.error(config_path, f"no {oneof} is chosen; use one of {', '.join(known)}")
        elif not checker.is_unsupported(f"{config_path}.{name}"):
            yield f"{config_path}.{name}", name, getattr(config, name)


def _index(path: str) -> int:
    """Index in a path that ends in `[i].name`."""
    return int(path[path.rindex("[") + 1 : path.rindex("]")])
