"""Names of a config that refer to its features, groups, columns, towers or results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tzrec.config.checker import Checker
from tzrec.config.comma_list import split_commas
from tzrec.config.names import closest, did_you_mean
from tzrec.config.rules.feature_entry import entries_by_name, find_feature
from tzrec.config.rules.tasks import evaluation_results
from tzrec.protos import options_pb2 as pb

_TOWER = re.compile(r"task_towers\[(\d+)\]")


def _check_feature(checker: Checker, path: str, name: str) -> None:
    find_feature(checker, path, name, entries_by_name(checker))


def _check_id_feature(checker: Checker, path: str, name: str) -> None:
    known = {key: entry for key, entry in entries_by_name(checker).items() if entry.sequence is None}
    entry = find_feature(checker, path, name, known)
    if entry is None or entry.has_table or entry.message.stub_type or checker.has_parse_errors(entry.path):
        return
    with_ids = ", ".join(key for key in known if known[key].has_table)
    checker.error(path, f'"{name}" is dense and has no ids to group rows by; features with ids: {with_ids}')


def _check_group(checker: Checker, path: str, name: str) -> None:
    groups = [group.group_name for group in checker.config.model_config.feature_groups]
    if name not in groups:
        checker.unknown_name(path, "group", name, groups)


def _check_label(checker: Checker, path: str, name: str) -> None:
    columns = checker.config.data_config.label_fields
    if columns:  # an empty list is reported once, by check_model
        _check_column(checker, path, name, "label_fields", columns)


def _check_sample_weight(checker: Checker, path: str, name: str) -> None:
    _check_column(checker, path, name, "sample_weight_fields", checker.config.data_config.sample_weight_fields)


def _check_column(checker: Checker, path: str, name: str, field: str, columns: Sequence[str]) -> None:
    if name in columns:
        return
    joined = next((column for column in columns if name in split_commas(column)), None)
    if joined:
        names = ", ".join(f'"{part}"' for part in split_commas(joined))
        checker.error(path, f'"{name}" is not in data_config.{field}; "{joined}" there is one name: write [{names}]')
        return
    listed = f"({', '.join(columns)})" if columns else "(empty)"
    match = closest(name, columns)
    suggestion = f'; did you mean "{match}"?' if match else ""
    checker.error(path, f'"{name}" is not in data_config.{field} {listed}{suggestion}')


def _check_earlier_tower(checker: Checker, path: str, name: str) -> None:
    towers = [tower.tower_name for tower in checker.enclosing(path, "task_towers").task_towers]
    match = _TOWER.search(path)
    assert match is not None  # only fields of task towers refer to towers
    index = int(match[1])
    if name in towers[:index]:
        return
    if name == towers[index]:
        checker.error(path, f'"{name}" is this tower itself; name earlier ones')
    elif name in towers:
        checker.error(path, f'"{name}" is defined later; move it before "{towers[index]}", which reads it')
    else:
        known = did_you_mean(name, towers[:index]) or "; there is no earlier tower"
        checker.error(path, f'unknown tower "{name}"{known}')


def _check_evaluation_result(checker: Checker, path: str, name: str) -> None:
    known = evaluation_results(checker)
    if known and name not in known:
        checker.unknown_name(path, "result of an evaluation", name, known)


REFERENCES: Mapping[int, Callable[[Checker, str, str], None]] = {
    pb.FEATURE: _check_feature,
    pb.ID_FEATURE: _check_id_feature,
    pb.GROUP: _check_group,
    pb.LABEL: _check_label,
    pb.SAMPLE_WEIGHT: _check_sample_weight,
    pb.EARLIER_TOWER: _check_earlier_tower,
    pb.EVALUATION_RESULT: _check_evaluation_result,
}
"""Rule of each reference; inputs of features depend on data_config.fg_mode and are checked with the features."""
