"""What single-task ranking models ask of their groups and their own fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tzrec.config.checker import Checker, repeated
from tzrec.config.rules.feature_entry import entries_by_name
from tzrec.config.schema import fields_of
from tzrec.protos.model_pb2 import WIDE, FeatureGroupConfig
from tzrec.protos.simi_pb2 import INNER_PRODUCT

_GROUPS = "model_config.feature_groups"


@dataclass(frozen=True)
class Needs:
    """Groups that a model looks up by name.

    Attributes:
        required: those it cannot do without.
        optional: those it uses where they are.
        equal: those whose features must be of one width; of several that exist the first. "" is the first group.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()


_NEEDS: Mapping[str, Needs] = {
    "wide_and_deep": Needs(("wide", "deep")),
    "deepfm": Needs(("wide", "deep"), ("fm",), ("fm", "deep")),
    "xdeepfm": Needs(("wide", "deep"), (), ("wide",)),
    "dlrm": Needs(("sparse",), ("dense",), ("sparse",)),
    "wukong": Needs(("sparse",), ("dense",), ("sparse",)),
    "autoint": Needs(equal=("",)),
    "fibinet": Needs(equal=("",)),
}
# Message -> its numbers that must not be 0
_COUNTS: Mapping[str, tuple[str, ...]] = {
    "WideAndDeep": ("wide_embedding_dim",),
    "DeepFM": ("wide_embedding_dim",),
    "xDeepFM": ("wide_embedding_dim",),
    "Cross": ("cross_num",),
    "CrossV2": ("cross_num", "low_rank"),
    "MaskNetModule": ("n_mask_blocks",),
    "MaskBlock": ("hidden_dim",),
    "FieldAttention": ("layer_num", "head_num", "head_dim"),
    "FiBiNET": ("reduction_ratio",),
    "FinalMLP": ("head_num",),
    "GatedCross": ("cross_num",),
    "WuKongLayer": ("lcb_feature_num", "fmb_feature_num", "compressed_feature_num"),
}
# model -> its list that must not be empty
_LISTS: Mapping[str, tuple[str, str]] = {
    "multi_tower": ("towers", "add a tower for each feature group"),
    "wukong": ("wukong_layers", "add a layer"),
    "xdeepfm": ("cin.cin_layer_size", "give the feature maps of each layer, e.g. [64, 64]"),
}


def check_ranking(checker: Checker) -> None:
    """The chosen model, if it is one of these, and the blocks in it."""
    config = checker.config.model_config
    model = config.WhichOneof("model")
    if model is None or checker.is_unsupported(f"model_config.{model}"):
        return
    message = getattr(config, model)
    if model in _NEEDS and _check_names(checker, model, _NEEDS[model]):
        _check_widths(checker, model, _NEEDS[model])
    if "dense_mlp" in fields_of(message):
        _check_dense(checker, model, message)
    if model == "multi_tower":
        _check_towers(checker, message)
    if model == "finalmlp":
        _check_streams(checker, message)
    if model == "mask_net" and not message.mask_net_module.HasField("top_mlp"):
        checker.error("model_config.mask_net.mask_net_module", "has no top_mlp, which the model mask_net needs")
    if model == "rocket_launching" and message.feature_based_distillation:
        _check_distillation(checker, message)
    if model in _LISTS:
        _check_list(checker, model, message)
    _check_blocks(checker, model)


def _groups(checker: Checker) -> dict[str, tuple[str, FeatureGroupConfig]]:
    """Path and message of each group by name."""
    found = repeated(_GROUPS, checker.config.model_config.feature_groups)
    return {group.group_name: (path, group) for path, group in found}


def _check_names(checker: Checker, model: str, needs: Needs) -> bool:
    """No group is missing, and none is there that nothing reads: that one is most likely misspelt."""
    groups, known = _groups(checker), (*needs.required, *needs.optional)
    if not known:
        return True
    strange = {name: path for name, (path, _) in groups.items() if name not in known}
    for name, path in strange.items():
        checker.unknown_name(f"{path}.group_name", f"group of {model}", name, known)
    for name in needs.required:
        if groups and name not in groups and not strange and not checker.has_parse_errors("model_config"):
            checker.error(_GROUPS, f'{model} needs a group "{name}"; there are {", ".join(groups)}')
    return not strange


def _check_widths(checker: Checker, model: str, needs: Needs) -> None:
    """All features of the group that is taken apart are of one width."""
    groups = _groups(checker)
    wanted = list(groups)[:1] if needs.equal == ("",) else needs.equal
    name = next((name for name in wanted if name in groups), None)
    if name is None:
        return
    path, group = groups[name]
    if group.sequence_encoders and not checker.is_unsupported(f"{path}.sequence_encoders"):
        checker.error(
            f"{path}.sequence_encoders", f'{model} takes group "{name}" apart by features; it has no place here'
        )
    widths = list(_widths(checker, path, group))
    for here, feature, width in widths[1:]:
        _, first, right = widths[0]
        if width != right:
            message = f'"{feature}" is {width} wide and "{first}" {right}; {model} needs equal widths in group "{name}"'
            checker.error(here, message)


def _widths(checker: Checker, path: str, group: FeatureGroupConfig) -> Iterator[tuple[str, str, int]]:
    """Path, name and width of each feature of a group, as far as they are known."""
    known = entries_by_name(checker)
    for here, name in repeated(f"{path}.feature_names", group.feature_names):
        if name not in known or checker.has_parse_errors(known[name].path) or group.group_type == WIDE:
            continue  # reported elsewhere; tables of WIDE groups are all alike
        yield here, name, known[name].width


def _check_dense(checker: Checker, model: str, message: Any) -> None:
    """The MLP on the dense group makes one more vector of the width of the others."""
    groups, path = _groups(checker), f"model_config.{model}"
    if "dense" in groups and not message.HasField("dense_mlp"):
        if not checker.has_parse_errors(path):
            checker.error(path, 'has no dense_mlp, which the group "dense" needs')
    elif "dense" not in groups and message.HasField("dense_mlp"):
        checker.error(f"{path}.dense_mlp", 'there is no group "dense" that it could read')
    units = message.dense_mlp.hidden_units
    widths = list(_widths(checker, *groups["sparse"])) if "sparse" in groups else []
    if units and widths and units[-1] != widths[0][2]:
        received = f'its last width is {units[-1]}, that of the features in group "sparse" is {widths[0][2]}'
        checker.error(f"{path}.dense_mlp.hidden_units", f"{received}; make them equal")


def _check_towers(checker: Checker, message: Any) -> None:
    groups = _groups(checker)
    for path, tower in repeated("model_config.multi_tower.towers", message.towers):
        if tower.input not in groups and tower.HasField("input"):
            checker.unknown_name(f"{path}.input", "group", tower.input, groups)


def _check_streams(checker: Checker, message: Any) -> None:
    groups = _groups(checker)
    for name in ("first", "second"):
        stream, path = getattr(message, name), f"model_config.finalmlp.{name}"
        if stream.gate_group and stream.gate_group not in groups:
            checker.unknown_name(f"{path}.gate_group", "group", stream.gate_group, groups)
        if stream.HasField("gate_mlp") and not stream.gate_group:
            checker.error(f"{path}.gate_mlp", "has no gate_group to read")
        units = stream.mlp.hidden_units
        if units and message.head_num and units[-1] % message.head_num:
            advice = f"its last width is {units[-1]}, no multiple of head_num {message.head_num}"
            checker.error(f"{path}.mlp.hidden_units", advice)


def _check_distillation(checker: Checker, message: Any) -> None:
    path = "model_config.rocket_launching"
    if message.feature_distillation_function == INNER_PRODUCT:
        checker.error(f"{path}.feature_distillation_function", "INNER_PRODUCT is no distance; use COSINE or EUCLID")
    light, booster = message.light_mlp.hidden_units, message.booster_mlp.hidden_units
    if light and booster and not set(light) & set(booster):
        said = "compares layers of equal width; light_mlp and booster_mlp have none"
        checker.error(f"{path}.feature_based_distillation", said)


def _check_list(checker: Checker, model: str, message: Any) -> None:
    name, advice = _LISTS[model]
    values = message
    for part in name.split("."):
        values = getattr(values, part)
    path = f"model_config.{model}"
    if not values and not checker.has_parse_errors(path):
        checker.error(f"{path}.{name}", f"is empty; {advice}")


def _check_blocks(checker: Checker, model: str) -> None:
    """Numbers of the model's message and of all blocks in it."""
    for path, message in checker.messages():
        if path.startswith(f"model_config.{model}"):
            _check_block(checker, path, message)


def _check_block(checker: Checker, path: str, message: Any) -> None:
    kind = message.DESCRIPTOR.name
    for field in _COUNTS.get(kind, ()):
        if getattr(message, field) == 0 and (message.HasField(field) or not checker.has_parse_errors(path)):
            checker.error(f"{path}.{field}", "0; it is at least 1")
    if kind == "MaskBlock" and not message.reduction_ratio > 0 and not message.aggregation_dim:
        checker.error(f"{path}.reduction_ratio", "neither reduction_ratio nor aggregation_dim is above 0; set one")
    if kind == "CIN":
        for here, size in repeated(f"{path}.cin_layer_size", message.cin_layer_size):
            if size == 0:
                checker.error(here, "0 feature maps; a layer has at least 1")
