"""Match models: towers, negatives and their corrections."""

from __future__ import annotations

from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.match_towers import TOWERS, group_fields
from tzrec.config.rules.feature_entry import entries_by_name
from tzrec.config.rules.model_groups import feature_widths, groups_by_name
from tzrec.config.schema import fields_of
from tzrec.protos.model_pb2 import DEEP, SEQUENCE, FeatureGroupType


def check_two_towers(checker: Checker, path: str, model: Any) -> None:
    """Check the groups of both towers, the source of negatives, and corrections.

    Args:
        checker: receives the problems.
        path: path of the model.
        model: match model with a user tower and an item tower.
    """
    if checker.has_parse_errors(path):
        return
    _check_groups(checker, path, model)
    _check_widths(checker, path, model)
    _check_negatives(checker, path, model)
    _check_correction(checker, f"{path}.candidate_correction", model)


def _check_groups(checker: Checker, path: str, model: Any) -> None:
    """Check that a tower reads groups of the right types, and no group is read by both."""
    groups, paths = groups_by_name(checker), dict[str, str]()
    for tower in TOWERS:
        message = getattr(model, tower)
        for field in group_fields(message):
            name, field_path = getattr(message, field), f"{path}.{tower}.{field}"
            if name not in groups:
                continue  # reported as unknown
            if name in paths:
                checker.error(field_path, f'group "{name}" is also {paths[name]}; give each a group of its own')
            paths[name] = field_path
            _check_type(checker, field_path, groups[name][1], SEQUENCE if field == "history_input" else DEEP)
    for name, (group_path, _) in groups.items():
        if name not in paths:
            checker.warning(f"{group_path}.group_name", f'no tower reads the group "{name}"')


def _check_widths(checker: Checker, path: str, model: Any) -> None:
    """Check that vectors of both towers have the same width, where no linear layer of width output_dim ends them."""
    widths = [_tower_width(checker, getattr(model, tower)) for tower in TOWERS]
    if model.output_dim <= 0 and all(widths) and widths[0] != widths[1]:
        received = f"without it the vectors of users are {widths[0]} wide and those of items {widths[1]}"
        checker.error(f"{path}.output_dim", f"is not above 0; {received}: set it, or make them equal")


def _tower_width(checker: Checker, tower: Any) -> int:
    """Width of the last layer of a tower; 0 if the config does not determine it."""
    name = "concat_mlp" if "concat_mlp" in fields_of(tower) else "mlp"
    if tower.HasField(name):
        units = getattr(tower, name).hidden_units
        return units[-1] if units else 0
    return group_width(checker, tower.input)


def _check_type(checker: Checker, path: str, group: Any, group_type: int) -> None:
    if group.group_type != group_type:
        received, expected = (FeatureGroupType.Name(value) for value in (group.group_type, group_type))
        checker.error(path, f'group "{group.group_name}" is {received}; this input needs group_type {expected}')


def _check_negatives(checker: Checker, path: str, model: Any) -> None:
    sampler = checker.config.data_config.WhichOneof("sampler")
    if sampler == "tdm_sampler":
        checker.error("data_config.tdm_sampler", "samples nodes of a tree, for tdm; use negative_sampler")
    elif sampler is None and not model.in_batch_negative:
        advice = "set data_config.negative_sampler, or in_batch_negative to true"
        checker.error(f"{path}.in_batch_negative", f"the items have no negatives to be compared with; {advice}")


def _check_correction(checker: Checker, path: str, model: Any) -> None:
    """Check that a correction has the ids, probabilities and frequencies it reads."""
    correction, sampler = model.candidate_correction, checker.config.data_config.WhichOneof("sampler")
    has_streaming = correction.HasField("streaming_frequency")
    needs_ids = ["mask_positive_items"] * correction.mask_positive_items + ["streaming_frequency"] * has_streaming
    if needs_ids and sampler is None and not correction.item_id_feature:
        checker.error(f"{path}.item_id_feature", f"is not set; {needs_ids[0]} compares items by their ids")
    if correction.correct_sampled and sampler is None:
        checker.error(f"{path}.correct_sampled", "there is no data_config.negative_sampler whose items it corrects")
    frequencies = ["streaming_frequency"] * has_streaming + ["frequency_feature"] * bool(correction.frequency_feature)
    if len(frequencies) > 1:
        checker.error(f"{path}.frequency_feature", "streaming_frequency is set as well; choose one")
    elif frequencies and not model.in_batch_negative:
        reason = "corrects items of the batch, which are negatives with in_batch_negative only"
        checker.error(f"{path}.{frequencies[0]}", f"{reason}; for sampled items use correct_sampled")
    entry = entries_by_name(checker).get(correction.frequency_feature)
    if entry is not None and (entry.has_table or entry.width != 1):
        checker.error(f"{path}.frequency_feature", f'"{entry.name}" is not a dense feature of one number')


def group_width(checker: Checker, name: str) -> int:
    """Width of a DEEP group; 0 if the config does not determine it."""
    groups = groups_by_name(checker)
    if name not in groups or groups[name][1].sequence_encoders:
        return 0
    path, group = groups[name]
    widths = [width for _, _, width in feature_widths(checker, path, group)]
    return sum(widths) if len(widths) == len(group.feature_names) else 0
