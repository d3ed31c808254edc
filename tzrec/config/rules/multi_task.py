"""What models with several tasks ask of their towers, beyond what every task has to have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tzrec.config.checker import Checker, repeated
from tzrec.config.grammar import activation_problem
from tzrec.config.names import hint
from tzrec.config.rules.modules import check_layers
from tzrec.config.schema import fields_of
from tzrec.protos.model_pb2 import ModelConfig

_BINARY = ("binary_cross_entropy", "binary_focal_loss")
_GATED_GROUPS = ("all", "domain", "uia")


def check_multi_task(checker: Checker) -> None:
    """The chosen model, if it has task towers."""
    config = checker.config.model_config
    name = config.WhichOneof("model")
    if name is None or checker.is_unsupported(f"model_config.{name}"):
        return
    model, path = getattr(config, name), f"model_config.{name}"
    if "task_towers" not in fields_of(model):
        return
    for here, tower in repeated(f"{path}.task_towers", model.task_towers):
        if not tower.HasField("label_name") and not checker.has_parse_errors(here):
            checker.error(f"{here}.label_name", "is not set; a task learns from one of data_config.label_fields")
        _check_sources(checker, here, tower, [each.tower_name for each in model.task_towers])
    if name in _RULES:
        _RULES[name](checker, path, model)


def _check_sources(checker: Checker, path: str, tower: Any, towers: list[str]) -> None:
    """The towers that one reads stand before it."""
    place = int(path[path.rindex("[") + 1 : -1])
    for field in ("relation_tower_names", "intervention_tower_names"):
        for here, name in repeated(f"{path}.{field}", getattr(tower, field, ())):
            if name in towers[:place]:
                continue
            if name == tower.tower_name:
                checker.error(here, f'"{name}" is this tower itself; name earlier ones')
            elif name in towers:
                checker.error(here, f'"{name}" comes later; put it before "{tower.tower_name}", which reads it')
            else:
                known = hint(name, towers[:place]) or "; there is no earlier tower"
                checker.error(here, f'unknown tower "{name}"{known}')


def _check_interventions(checker: Checker, path: str, model: Any) -> None:
    shared = model.expert_mlp if model.HasField("expert_mlp") else model.bottom_mlp
    widths = {tower.tower_name: _width(tower, shared) for tower in model.task_towers}
    for here, tower in repeated(f"{path}.task_towers", model.task_towers):
        if not 0 <= tower.dropout_ratio < 1:
            checker.error(f"{here}.dropout_ratio", f"{tower.dropout_ratio:g} is not in [0, 1)")
        if not tower.intervention_tower_names:
            continue
        read = [widths.get(name, 0) for name in tower.intervention_tower_names]
        limits = [widths[tower.tower_name] - 1] * (widths[tower.tower_name] > 0) + [sum(read)] * all(read)
        most = min(limits, default=tower.low_rank_dim)
        if tower.HasField("low_rank_dim") and not 1 <= tower.low_rank_dim <= most:
            wanted = "below the width of the tower and at most that of the towers it reads"
            checker.error(f"{here}.low_rank_dim", f"{tower.low_rank_dim} is not in [1, {max(most, 1)}]: {wanted}")


def _width(tower: Any, shared: Any) -> int:
    """Columns of a tower where the config alone says how many, else 0."""
    units = tower.mlp.hidden_units or shared.hidden_units
    return units[-1] if units else 0


def _check_levels(checker: Checker, path: str, model: Any) -> None:
    if not model.extraction_networks and not checker.has_parse_errors(path):
        checker.error(f"{path}.extraction_networks", "is empty; the model needs at least one level of experts")
    for here, level in repeated(f"{path}.extraction_networks", model.extraction_networks):
        if level.HasField("expert_num_per_task") and level.expert_num_per_task == 0:
            checker.error(f"{here}.expert_num_per_task", "0 experts; each task needs at least 1")
        own, shared = level.task_expert_net.hidden_units[-1:], level.share_expert_net.hidden_units[-1:]
        if own and shared and own[0] != shared[0]:
            message = f"ends with {shared[0]} units, task_expert_net with {own[0]}; they are mixed, so make them equal"
            checker.error(f"{here}.share_expert_net.hidden_units", message)


def _check_entire_space(checker: Checker, path: str, model: Any) -> None:
    _check_binary(checker, path, model)
    count = len(model.task_towers)
    if count not in (0, 2):
        checker.error(f"{path}.task_towers", f"{count} towers; there are two, click and conversion")
    if model.conditional_name in [tower.tower_name for tower in model.task_towers]:
        message = f'"{model.conditional_name}" is a tower; the conversion after a click needs another name'
        checker.error(f"{path}.conditional_name", message)


def _check_path(checker: Checker, path: str, model: Any) -> None:
    _check_binary(checker, path, model)
    if len(model.task_towers) == 1:
        checker.error(f"{path}.task_towers", "1 tower; a path has at least two steps")
    if model.calibrator_weight < 0:
        checker.error(f"{path}.calibrator_weight", f"{model.calibrator_weight:g} is below 0")
    ends = [list(tower.mlp.hidden_units[-1:]) for tower in model.task_towers]
    for index, end in enumerate(ends):
        if end != ends[0]:
            message = f"ends {_units(end)}, that of the first step {_units(ends[0])}; make them equal"
            checker.error(f"{path}.task_towers[{index}].mlp", message)


def _units(end: list[int]) -> str:
    return f"with {end[0]} units" if end else "nowhere"


def _check_binary(checker: Checker, path: str, model: Any) -> None:
    """Towers whose probabilities are compared or multiplied."""
    for here, tower in repeated(f"{path}.task_towers", model.task_towers):
        for index, loss in enumerate(tower.losses):
            name = loss.WhichOneof("loss")
            if name and name not in _BINARY and not checker.is_unsupported(f"{here}.losses[{index}].{name}"):
                message = f"the tower yields the probability of a step; use {' or '.join(_BINARY)}"
                checker.error(f"{here}.losses[{index}].{name}", message)


def _check_gates(checker: Checker, path: str, model: Any) -> None:
    config: ModelConfig = checker.config.model_config
    groups = [group.group_name for group in config.feature_groups]
    for here, group in repeated("model_config.feature_groups", config.feature_groups):
        if group.group_name not in _GATED_GROUPS:
            checker.unknown_name(f"{here}.group_name", "group of pepnet", group.group_name, _GATED_GROUPS)
    if "all" not in groups and set(groups) <= set(_GATED_GROUPS) and groups:
        checker.error("model_config.feature_groups", 'pepnet needs a group "all", the features that are gated')
    check_layers(checker, f"{path}.ppnet_", model.ppnet_hidden_units, model.ppnet_dropout_ratio)
    problem = activation_problem(model.ppnet_activation)
    if problem:
        checker.error(f"{path}.ppnet_activation", problem)
    for field in ("epnet_gamma", "ppnet_gamma"):
        if getattr(model, field) <= 0:
            checker.error(f"{path}.{field}", f"{getattr(model, field):g} is not above 0")
    _check_domains(checker, path, model)


def _check_domains(checker: Checker, path: str, model: Any) -> None:
    labels = checker.config.data_config.label_fields
    if model.task_domain_num == 0:
        checker.error(f"{path}.task_domain_num", "0 domains; there is at least 1")
    if model.domain_input_name and labels and model.domain_input_name not in labels:
        checker.unknown_name(f"{path}.domain_input_name", "label column", model.domain_input_name, labels)
    elif model.task_domain_num > 1 and not model.domain_input_name:
        message = "is not set; name the label column that holds the domain of a row, or leave task_domain_num out"
        checker.error(f"{path}.domain_input_name", message)


_RULES: Mapping[str, Callable[[Checker, str, Any], None]] = {
    "dc2vr": _check_interventions,
    "ple": _check_levels,
    "esmm": _check_entire_space,
    "aitm": _check_path,
    "pepnet": _check_gates,
}
