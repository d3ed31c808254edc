"""Check of labels and weights in the first rows of the data: losses, classes, rows that are left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.checker import Checker, repeated
from tzrec.config.heads import HeadDeclaration, declare_heads
from tzrec.config.label_rules import LabelRule, label_rules
from tzrec.data.bad_rows import skipped_rows
from tzrec.data.label_values import NOT_LISTED, LabelValues
from tzrec.data.labels import LabelReader, weight_values
from tzrec.data.task_spaces import TaskSpaces
from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray
from tzrec.features.bad_rows import BadRows
from tzrec.formatting import shorten
from tzrec.protos.data_pb2 import BadRowPolicy
from tzrec.run.data_sample import Sample

_CLASS_ROWS = 20
"""Rows for each class that show about how many classes there are."""
_RARE = 0.05
"""Share of invalid labels up to which the rows are wrong, and not the loss."""
_RARE_ADVICE = "correct these rows, or set bad_row_policy: SKIP_ROW to leave them out"
Values = npt.NDArray[Any]


def check_targets(sample: Sample) -> None:
    """Check the labels and weights, and what is left of them; the features are encoded already."""
    data, checker = sample.checker.config.data_config, sample.checker
    bad = BadRows(sample.batch.num_rows)
    sample.batch = LabelValues(data).to_numbers(sample.batch, bad)
    labels = _read(sample, "label_fields", LabelReader(checker.config), bad)
    weights = _read(sample, "sample_weight_fields", weight_values, bad)
    explained = _explain_invalid(sample, bad)
    is_left = np.ones(bad.size, np.bool_)  # (B,)
    if data.bad_row_policy != BadRowPolicy.ERROR:
        is_left = ~skipped_rows(sample.bad_rows, bad, data.bad_row_policy)
    if data.bad_row_policy != BadRowPolicy.ERROR:
        _warn_of_left_out(sample, bad, explained)
    for report in bad.reports:
        if report[:2] not in explained:
            sample.bad_rows.report(*report)
    evaluated = [head for head in declare_heads(checker.config).evaluated if not head.candidates]
    read = {head.label_name for head in evaluated}
    for path, values in labels.items():
        name = _name(checker, path)
        if name in read and values.ndim == 1 and name not in dict(explained):
            _check_varies(sample, path, name, values, is_left)
    for head in evaluated:
        path = next((path for path in labels if _name(checker, path) == head.label_name), "")
        if path and labels[path].ndim == 1 and is_left.any() and head.label_name not in dict(explained):
            _check_head(checker, head, path, labels[path][is_left])
    for path, values in weights.items():
        if len(values) and not values[is_left].any():
            checker.warning(
                path, f'"{_name(checker, path)}" is 0 in {sample.extent}: tasks with this weight learn nothing'
            )


def task_space_hint(sample: Sample) -> str:
    """The fields of a task whose label is missing only where another label is 0; "" if there is none."""
    labels = list(sample.checker.config.data_config.label_fields)
    for label in labels:
        is_missing = np.asarray(sample.batch.column(label).is_null())
        for other in labels if is_missing.any() else ():
            column = sample.batch.column(other)
            if other != label and column.null_count == 0 and not np.asarray(column)[is_missing].any():
                fields = f'task_space_indicator_label: "{other}" out_task_space_weight: 0 metrics_in_task_space: true'
                return f'"{label}" is missing only where "{other}" is 0: give its task {fields}'
    return ""


def _read(sample: Sample, field: str, convert: Any, bad: BadRows) -> dict[str, Values]:
    """Convert the columns of a field; returns the values `(B,)` or `(B, C)` by path, and reports other types."""
    targets = TaskSpaces(sample.checker.config).fill(sample.batch)
    values_by_path = {}
    for path, name in repeated(f"data_config.{field}", getattr(sample.checker.config.data_config, field)):
        try:
            values_by_path[path] = convert(name, targets.column(name), bad)
        except DataError as error:
            sample.checker.error(path, str(error))
    return values_by_path


def _name(checker: Checker, path: str) -> str:
    field, _, index = path.removeprefix("data_config.").partition("[")
    return str(getattr(checker.config.data_config, field)[int(index.rstrip("]"))])


def _explain_invalid(sample: Sample, bad: BadRows) -> set[tuple[str, str]]:
    """Report labels that a loss does not take, with the loss or the labels that do; returns what is reported."""
    checker, explained = sample.checker, set[tuple[str, str]]()
    is_fatal = checker.config.data_config.bad_row_policy == BadRowPolicy.ERROR
    path_by_name = {
        name: path for path, name in repeated("data_config.label_fields", checker.config.data_config.label_fields)
    }
    for name, rules in label_rules(checker.config).items():
        for rule in rules:
            report = next((item for item in bad.reports if item[:2] == (name, rule.reason)), None)
            if report is None or name not in path_by_name:
                continue
            explained.add(report[:2])
            share = len(report[2]) / bad.size
            received = f'"{name}" must be {rule.values} for {rule.reader}'
            example = f"{100 * share:.3g} % of the rows are not (e.g. {shorten(str(report[3][0]))})"
            effect = "" if is_fatal else " and are left out"
            is_rare = share < _RARE
            advice = _RARE_ADVICE if is_rare else _advice(rule, _finite(sample.batch.column(name)))
            message = f"{received}, and {example}{effect}; {advice}"
            (checker.error if is_fatal or len(report[2]) == bad.size else checker.warning)(path_by_name[name], message)
    return explained


def _advice(rule: LabelRule, values: Values) -> str:
    """The change with which a loss takes the labels, by all of them."""
    distinct = np.unique(values)
    is_whole = bool((distinct == np.trunc(distinct)).all())
    if not is_whole:
        return (
            "for amounts and other numbers use l2_loss" if rule.reader != "task_domain_num" else "write whole numbers"
        )
    least, most = int(distinct[0]), int(distinct[-1])
    if len(distinct) == 2 and rule.most <= 1:
        return f"write 0 and 1 in place of {least} and {most}"
    if least < 0:
        return "count classes from 0 where the data is written, or use l2_loss for numbers"
    if not rule.is_whole:
        return f"for {most + 1} classes use softmax_cross_entropy and num_class: {most + 1}, for counts l2_loss"
    shift = f", or count from 0: write {least} as 0 and {most} as {most - least}" if least > 0 else ""
    field = "num_class" if rule.reader != "task_domain_num" else rule.reader
    return f"set {field}: {most + 1}{shift}"


def _finite(column: pa.Array) -> Values:
    """The finite numbers of a label column."""
    values = column.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    return values[np.isfinite(values)]


def _warn_of_left_out(sample: Sample, bad: BadRows, explained: set[tuple[str, str]]) -> None:
    """Warn of rows that no task trains on or evaluates, because a label or weight is missing or invalid."""
    path_by_name = dict(_target_paths(sample.checker))
    hint = task_space_hint(sample)
    for name in dict.fromkeys(report[0] for report in bad.reports):
        rows = [rows for column, reason, rows, _ in bad.reports if column == name and (column, reason) not in explained]
        if not rows:
            continue
        num_rows = len(np.unique(np.concatenate(rows)))
        received = f'{num_rows:,} of {bad.size:,} rows have no valid "{name}", and all tasks leave these rows out'
        advice = hint if hint.startswith(f'"{name}"') else "train a label with many gaps in a model of its own"
        if unlisted := _not_listed(bad, name):
            advice = f"{unlisted} not in data_config.label_values: add what is missing there, or correct the data"
        sample.checker.warning(path_by_name.get(name, "data_config.label_fields"), f"{received}; {advice}")


def _not_listed(bad: BadRows, name: str) -> str:
    """The values of a label that are not listed, "" if there are none."""
    values = [
        str(value)
        for column, reason, _, values in bad.reports
        if (column, reason) == (name, NOT_LISTED)
        for value in values
    ]
    distinct = sorted(set(values))
    verb = "is" if len(distinct) == 1 else "are"
    return f"{shorten(', '.join(map(json.dumps, distinct)))} {verb}" if distinct else ""


def _target_paths(checker: Checker) -> Iterator[tuple[str, str]]:
    """Yield the labels and weights with the paths that name them."""
    data = checker.config.data_config
    for field in ("label_fields", "sample_weight_fields"):
        for path, name in repeated(f"data_config.{field}", getattr(data, field)):
            yield name, path


def _check_varies(sample: Sample, path: str, name: str, values: Values, is_left: BoolArray) -> None:
    """Report a label with one value: there is nothing to learn. Of rows that are left out this is no accident."""
    left = values[is_left]
    if len(left) < 2 or (left != left[0]).any():
        return
    if len(values) > len(left) and (values != left[0]).any():
        received = f'"{name}" is {left[0]:g} in all {len(left):,} rows that are left'
        sample.checker.error(path, f"{received}, of {len(values):,}; there is nothing to learn")
        return
    advice = "there is nothing to learn" if sample.is_all else "shuffle the data if it is sorted by it"
    sample.checker.warning(path, f'"{name}" is {left[0]:g} in {sample.extent}; {advice}')


def _check_head(checker: Checker, head: HeadDeclaration, path: str, labels: Values) -> None:
    """Warn of metrics that read labels otherwise than the loss, and of many more classes than there are."""
    message = head.message
    areas = [name for config in message.metrics if (name := config.WhichOneof("metric")) in ("auc", "grouped_auc")]
    between = labels[(labels > 0) & (labels < 1)]
    if areas and len(between):
        received = (
            f'"{head.label_name}" has fractions (e.g. {between[0]:g}), and {areas[0]} counts all above 0 as positive'
        )
        checker.warning(path, f"{received}; write 0 and 1, or remove the metric")
    num_seen = int(labels.max()) + 1
    is_class = any(rule.is_whole for rule in label_rules(checker.config).get(head.label_name, ()))
    if is_class and message.num_class > 2 * num_seen and len(labels) >= _CLASS_ROWS * message.num_class:
        received = (
            f'{message.num_class} classes, but "{head.label_name}" is at most {num_seen - 1} in {len(labels):,} rows'
        )
        checker.warning(f"{head.path}.num_class", f"{received}; set it to {num_seen} if there are no others")
