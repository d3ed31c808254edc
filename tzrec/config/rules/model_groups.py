"""Feature groups that the chosen model requires."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tzrec import registry
from tzrec.config.checker import Checker, repeated
from tzrec.config.model_groups import FIRST_GROUP, GroupRequirements
from tzrec.config.rules.feature_entry import entries_by_name
from tzrec.protos.model_pb2 import WIDE, FeatureGroupConfig

_GROUPS = "model_config.feature_groups"


def model_requirements(checker: Checker) -> Any:
    """Return the requirements module of the chosen model; None if it has none or is not supported."""
    member = registry.oneof_member(checker.config.model_config, "model")
    if member is None or checker.is_unsupported(f"model_config.{member[0].name}"):
        return None
    return registry.requirements(member[0])


def check_model_groups(checker: Checker) -> None:
    """Check names and widths of the groups of the chosen model."""
    groups = getattr(model_requirements(checker), "GROUPS", None)
    model = checker.config.model_config.WhichOneof("model")
    if groups is not None and model is not None and _check_names(checker, model, groups):
        _check_widths(checker, model, groups)


def groups_by_name(checker: Checker) -> dict[str, tuple[str, FeatureGroupConfig]]:
    """Return path and message of each group."""
    groups = repeated(_GROUPS, checker.config.model_config.feature_groups)
    return {group.group_name: (path, group) for path, group in groups}


def _check_names(checker: Checker, model: str, requirements: GroupRequirements) -> bool:
    """Check that all required groups exist and no other ones, which most likely are misspelled."""
    groups, known = groups_by_name(checker), requirements.names
    if not known or (requirements.alone and len(groups) == 1):
        return True
    unknown = {name: path for name, (path, _) in groups.items() if name not in known}
    for name, path in unknown.items():
        checker.unknown_name(f"{path}.group_name", f"group of {model}", name, known)
    for name in requirements.required:
        if groups and name not in groups and not unknown and not checker.has_parse_errors("model_config"):
            checker.error(_GROUPS, f'{model} needs a group "{name}"; the config has {", ".join(groups)}')
    return not unknown


def _check_widths(checker: Checker, model: str, requirements: GroupRequirements) -> None:
    """Check that the features of the group that is split by features have equal widths."""
    groups = groups_by_name(checker)
    candidates = list(groups)[:1] if requirements.equal_widths == (FIRST_GROUP,) else requirements.equal_widths
    names = (requirements.name_of(name, groups) for name in candidates)
    name = next((name for name in names if name in groups), None)
    if name is None:
        return
    path, group = groups[name]
    if group.sequence_encoders and not checker.is_unsupported(f"{path}.sequence_encoders"):
        message = f'{model} splits group "{name}" by features; it cannot have sequence_encoders'
        checker.error(f"{path}.sequence_encoders", message)
    widths = list(feature_widths(checker, path, group))
    for feature_path, feature, width in widths[1:]:
        _, first, expected = widths[0]
        if width != expected:
            message = f'"{feature}" is {width} wide and "{first}" {expected}; {model} needs equal widths in group'
            checker.error(feature_path, f'{message} "{name}"')


def feature_widths(checker: Checker, path: str, group: FeatureGroupConfig) -> Iterator[tuple[str, str, int]]:
    """Iterate over path, name and width of the features of a group whose width is known."""
    known = entries_by_name(checker)
    for feature_path, name in repeated(f"{path}.feature_names", group.feature_names):
        if name not in known or checker.has_parse_errors(known[name].path) or group.group_type == WIDE:
            continue  # reported by other rules; tables of WIDE groups have one width
        yield feature_path, name, known[name].width


def check_dense_mlp(
    checker: Checker,
    path: str,
    message: Any,
    requirements: GroupRequirements,
    dense: str,
    sparse: str,
    is_projected: bool = False,
) -> None:
    """Check an MLP that turns a dense group into a vector as wide as the features of a sparse group.

    Args:
        checker: receives the problems.
        path: path of the model.
        message: model with a field `dense_mlp`.
        requirements: groups of the model.
        dense: name of the dense group, which is optional.
        sparse: name of the sparse group.
        is_projected: the model projects a vector of another width.
    """
    groups = groups_by_name(checker)
    sparse = requirements.name_of(sparse, groups)
    has_dense = dense in groups and dense != sparse
    if has_dense and not message.HasField("dense_mlp"):
        if not checker.has_parse_errors(path):
            checker.error(path, f'has no dense_mlp, which the group "{dense}" needs')
    elif not has_dense and message.HasField("dense_mlp"):
        checker.warning(f"{path}.dense_mlp", f'has no effect: there is no group "{dense}" that it could read')
    units = message.dense_mlp.hidden_units
    widths = list(feature_widths(checker, *groups[sparse])) if sparse in groups else []
    if has_dense and not is_projected and units and widths and units[-1] != widths[0][2]:
        received = f'its last width is {units[-1]}, that of the features in group "{sparse}" is {widths[0][2]}'
        checker.error(f"{path}.dense_mlp.hidden_units", f"{received}; make them equal")
