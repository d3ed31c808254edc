"""Check of the first rows of the data against the features and labels of a config, for `tzrec check`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.completion import ENCODED
from tzrec.config.load import ConfigSource
from tzrec.config.rules.data import used_columns
from tzrec.data.null_words import null_values_hint
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import shorten
from tzrec.protos.data_pb2 import BadRowPolicy, DatasetType, FgMode
from tzrec.run.data_sample import Sample, read_sample
from tzrec.run.feature_check import check_features, warn_of_leaks
from tzrec.run.label_check import check_targets, task_space_hint

_MANY = 0.1
"""Share of invalid values from which a column is most likely read wrongly."""


@dataclass
class DataReport:
    """Result of a look at the data.

    Attributes:
        problems: they prevent training on the data.
        warnings: training on the data is most likely not what the user wants.
        notes: lines about the data.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_data(source: ConfigSource, paths: Sequence[str]) -> DataReport:
    """Compare the files of each path, read the first rows as training does, and encode them.

    Args:
        source: a config without problems.
        paths: comma lists of globs: of the training data, then of the evaluation data.
    """
    report = DataReport()
    for index, path in enumerate(dict.fromkeys(paths)):
        of_path = _check_path(source, path)
        prefix = f"{path}: " if index else ""
        for all_problems, problems in ((report.problems, of_path.problems), (report.warnings, of_path.warnings)):
            new = [problem for problem in problems if problem not in all_problems]
            all_problems += [
                problem if problem.location == path else replace(problem, message=f"{prefix}{problem.message}")
                for problem in new
            ]
        report.notes += of_path.notes
    return report


def _check_path(source: ConfigSource, path: str) -> DataReport:
    checker = Checker(source)
    try:
        encoder = FeatureEncoder.from_config(source.config.feature_configs, source.config.data_config)
        sample = read_sample(checker, path)
    except ConfigError as error:
        return DataReport(checker.located(error.problems))
    except DataError as error:
        return DataReport([Problem("", str(error), path)])
    if sample is None:
        return DataReport(checker.problems)
    check_features(sample, encoder)
    check_targets(sample)
    _check_bad_rows(sample)
    if sample.is_training:
        _check_batch_size(sample)
        _check_held_out(sample)
        warn_of_leaks(sample)
    notes = [] if checker.problems else [*_notes(sample), *sample.notes]
    return DataReport(checker.problems, checker.warnings, notes)


def _check_bad_rows(sample: Sample) -> None:
    """Report bad rows that stop training, columns without any valid value, and the loss of all rows."""
    data, checker, num_rows = sample.checker.config.data_config, sample.checker, sample.batch.num_rows
    if not sample.bad_rows:
        return
    if data.bad_row_policy == BadRowPolicy.ERROR:
        reasons = "; ".join(_reasons(sample))
        fix = f"{_fix(sample)}use DEFAULT or SKIP_ROW"
        message = f"ERROR stops at the first bad row, and the data has bad rows: {reasons}; {fix}"
        checker.error("data_config.bad_row_policy", message)
        return
    targets = (*data.label_fields, *data.sample_weight_fields)
    for column, reason, rows, values in sample.bad_rows.reports:
        is_target, share = column in targets, len(rows) / num_rows
        if share < _MANY or (is_target and share < 1):
            continue
        path = next((path for path, name in used_columns(checker) if name == column), "data_config")
        received = (
            f'no value of "{column}" in {num_rows:,} rows can'
            if share == 1
            else f'{100 * share:.3g} % of "{column}" cannot'
        )
        received += f" be read: {reason} (e.g. {_example(values)})"
        message = f"{received}; {_fix(sample)}correct the data or the feature"
        if share == 1 and (is_target or data.bad_row_policy == BadRowPolicy.SKIP_ROW):
            checker.error(path, message)
        else:
            checker.warning(path, message)


def _check_batch_size(sample: Sample) -> None:
    data, num_rows = sample.checker.config.data_config, sample.batch.num_rows
    if not sample.is_all or num_rows >= data.batch_size:
        return
    received = f"the data has only {num_rows:,} rows, less than one batch of {data.batch_size:,}"
    if data.drop_remainder:
        advice = "drop_remainder drops them all; set it to false, or batch_size lower"
        sample.checker.error("data_config.batch_size", f"{received}: {advice}")
    else:
        sample.checker.warning("data_config.batch_size", f"{received}: an epoch is one step; set it lower")


def _check_held_out(sample: Sample) -> None:
    """Report an eval_split by a column that leaves nothing to train on, or nothing to evaluate."""
    if sample.held_out is None or not (sample.held_out.all() or (sample.is_all and not sample.held_out.any())):
        return
    split = sample.checker.config.data_config.eval_split
    bound = f'"{split.column}" is {"at least" if sample.held_out.all() else "below"} {getattr(split, "from")!r}'
    effect = "no row is left to train on" if sample.held_out.all() else "no row is held out to evaluate"
    report = sample.checker.error if sample.is_all else sample.checker.warning
    report("data_config.eval_split.from", f"{bound} in {sample.extent}: {effect}; choose a value in between")


def _fix(sample: Sample) -> str:
    """The settings that make values valid, "" if none is known."""
    data = sample.checker.config.data_config
    if data.fg_mode in ENCODED:
        return f"{FgMode.Name(data.fg_mode)} reads encoded features; for raw columns set fg_mode: FG_DAG, or "
    is_text = data.dataset_type == DatasetType.CsvDataset
    hint = null_values_hint(value for *_, values in sample.bad_rows.reports for value in values) if is_text else ""
    hint = hint or task_space_hint(sample) or _type_hint(sample)
    return f"{hint}, or " if hint else ""


def _type_hint(sample: Sample) -> str:
    """The kind of feature or the number of rows that fits the first values of which many cannot be read."""
    for column, reason, rows, values in sample.bad_rows.reports:
        is_many = len(rows) >= _MANY * sample.batch.num_rows
        match = re.fullmatch(r"out of range \[0, \d+\)", reason)
        numbers = [int(value) for value in values if re.fullmatch(r"-?\d+", str(value))] if match else []
        if numbers and min(numbers) < 0:
            return f'for "{column}", which has values below 0, use hash_bucket_size in place of num_buckets'
        if numbers:
            return f'for "{column}" set num_buckets to at least {max(numbers) + 1:,}, or use hash_bucket_size'
        if reason == "not an integer" and is_many:
            return f'for the text of "{column}" use hash_bucket_size in place of num_buckets'
        if reason == "not a number" and is_many:
            return f'for the text of "{column}" use id_feature'
    return ""


def _reasons(sample: Sample) -> list[str]:
    """Format the invalid values by column and reason, with their share of the rows."""
    num_rows = sample.batch.num_rows
    return [
        f"{column} {reason} {100 * len(rows) / num_rows:.3g} % (e.g. {_example(values)})"
        for column, reason, rows, values in sample.bad_rows.reports
    ]


def _example(values: Sequence[Any]) -> str:
    return repr(shorten(str(values[0])))


def _notes(sample: Sample) -> list[str]:
    num_rows = sample.batch.num_rows
    columns = zip(sample.batch.schema.names, sample.batch.columns, strict=True)
    nulls = [f"{name} null {100 * column.null_count / num_rows:.3g} %" for name, column in columns if column.null_count]
    notes = [*nulls, *_reasons(sample)]
    head = f"data   first {num_rows:,} rows of {sample.path}"
    return [head, *(f"       {note}" for note in notes)] if notes else [f"{head}: all values are valid"]
