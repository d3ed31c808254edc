"""Check of the first batch of the data against the features and labels of a config, for `tzrec check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.checker import Checker, repeated
from tzrec.config.heads import declare_heads
from tzrec.config.load import ConfigSource
from tzrec.config.names import did_you_mean
from tzrec.config.rules.data import ENCODED, used_columns
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.data.labels import LabelReader, weight_values
from tzrec.data.null_words import null_values_hint
from tzrec.data.reader import Reader, open_reader
from tzrec.data.task_spaces import TaskSpaces
from tzrec.data.text_ids import decimal_ids_note
from tzrec.data.text_schema import TextSchema, cast_text, declared_types
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import readable
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import shorten
from tzrec.protos.data_pb2 import BadRowPolicy, DatasetType, FgMode
from tzrec.protos.feature_pb2 import ComboFeature, IdFeature

_NUM_ROWS = 10_000
"""Rows that are read, at least: enough to see a label that is 1 in a row of a hundred."""


@dataclass
class _Sample:
    """First rows of the data.

    Attributes:
        checker: collects problems.
        batch: raw columns.
        notes: lines about the files.
        is_all: True if the data has no more rows.
        bad_rows: collects invalid values.
    """

    checker: Checker
    batch: pa.RecordBatch
    notes: list[str]
    is_all: bool
    bad_rows: BadRows = field(init=False)

    def __post_init__(self) -> None:
        self.bad_rows = BadRows(self.batch.num_rows)


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
            all_problems += [replace(problem, message=f"{prefix}{problem.message}") for problem in new]
        report.notes += of_path.notes
    return report


def _check_path(source: ConfigSource, path: str) -> DataReport:
    checker = Checker(source)
    try:
        encoder = FeatureEncoder.from_config(source.config.feature_configs, source.config.data_config)
        sample = _read_sample(checker, path)
    except ConfigError as error:
        return DataReport(checker.located(error.problems))
    except DataError as error:
        return DataReport([Problem("", str(error), path)])
    if sample is None:
        return DataReport(checker.problems)
    _check_features(sample, encoder)
    _check_targets(sample)
    if path == source.config.train_input_path or path != source.config.eval_input_path:
        _check_batch_size(sample)
    notes = [] if checker.problems else [*_notes(sample, path), *sample.notes]
    return DataReport(checker.problems, checker.warnings, notes)


def _read_sample(checker: Checker, path: str) -> _Sample | None:
    """Read the first rows; None, with a problem for each, if columns are missing."""
    data = checker.config.data_config
    files = open_reader(data, path, [])
    available = files.available
    column_by_field = dict(used_columns(checker))
    for field_path, name in column_by_field.items():
        if name not in available:
            checker.error(field_path, f'no column "{name}" in the data{did_you_mean(name, available)}')
    if checker.problems:
        return None
    reader = files.select(list(column_by_field.values()))
    num_rows = max(data.batch_size, _NUM_ROWS)
    rows, is_all = _first_rows(reader, num_rows)
    if rows is None:
        raise DataError(f"no rows{reader.bad_lines.describe()}")
    notes = [f"       {note}; a value that is not of this type will stop training" for note in reader.notes]
    if reader.is_text:
        notes += [f"       {note}" for note in decimal_ids_note(reader, _text_id_columns(checker))]
    if reader.bad_lines.counts:
        notes.append(f"       rows are missing{reader.bad_lines.describe()}")
    sample = _Sample(checker, rows, notes, is_all)
    sample.batch = _convert_text(sample, reader)
    arrays = [readable(column, name, sample.bad_rows) for name, column in zip(reader.columns, sample.batch.columns)]
    sample.batch = pa.RecordBatch.from_arrays(arrays, list(reader.columns))
    return sample


def _first_rows(reader: Reader, num_rows: int) -> tuple[pa.RecordBatch | None, bool]:
    """Read the first rows; returns them, None if there are none, and True if there are no more."""
    pieces: list[pa.RecordBatch] = []
    for piece in reader.read():
        pieces.append(piece.batch)
        if sum(batch.num_rows for batch in pieces) > num_rows:
            break
    if not pieces:
        return None, True
    rows = pa.Table.from_batches(pieces)
    return rows.slice(0, num_rows).combine_chunks().to_batches()[0], rows.num_rows <= num_rows


def _convert_text(sample: _Sample, reader: Reader) -> pa.RecordBatch:
    """Convert the text of CSV to the types that training reads."""
    data = sample.checker.config.data_config
    schema = TextSchema.of(data, reader, reader.columns, [*data.label_fields, *data.sample_weight_fields])
    return cast_text(sample.batch, {**schema.features, **schema.targets}, sample.bad_rows)


def _text_id_columns(checker: Checker) -> list[str]:
    """Columns of text that features hash or look up as they are written."""
    declared = declared_types(checker.config.data_config)
    return [
        name
        for entry in _column_features(checker)
        if isinstance(entry.message, (IdFeature, ComboFeature)) and not getattr(entry.message, "num_buckets", 0)
        for _, text in entry.inputs
        if (name := text.partition(":")[2]) and declared.get(name, pa.string()) == pa.string()
    ]


def _check_features(sample: _Sample, encoder: FeatureEncoder) -> None:
    """Encode features one at a time, so that a wrong type of one does not hide problems of the next."""
    for entry in _column_features(sample.checker):
        feature = encoder.features[entry.name]
        columns = {column.name: sample.batch.column(column.name) for column in feature.inputs}
        try:
            feature.encode(columns, sample.bad_rows)
        except DataError as error:
            sample.checker.error(entry.path, str(error))


def _column_features(checker: Checker) -> Iterator[FeatureEntry]:
    """Yield the features that read only columns of the data."""
    mode = checker.config.data_config.fg_mode
    is_encoded = mode in ENCODED
    for entry in feature_entries(checker):
        is_derived = mode == FgMode.FG_DAG and any(text.startswith(("feature:", "const:")) for text in entry.reads)
        if not (entry.message.stub_type if is_encoded else is_derived):
            yield entry


def _check_targets(sample: _Sample) -> None:
    data = sample.checker.config.data_config
    read_label = LabelReader(sample.checker.config)
    targets = TaskSpaces(sample.checker.config).fill(sample.batch)
    evaluated = {head.label_name for head in declare_heads(sample.checker.config).evaluated if not head.candidates}
    for fields, convert in (("label_fields", read_label), ("sample_weight_fields", weight_values)):
        for field_path, name in repeated(f"data_config.{fields}", getattr(data, fields)):
            try:
                values = convert(name, targets.column(name), sample.bad_rows)
            except DataError as error:
                sample.checker.error(field_path, str(error))
                continue
            if fields == "label_fields" and name in evaluated:
                _check_varies(sample, field_path, name, values)
    _check_bad_rows(sample)


def _check_varies(sample: _Sample, path: str, name: str, values: npt.NDArray[Any]) -> None:
    """Warn of a label with one value: there is nothing to learn."""
    if len(values) > 1 and values.ndim == 1 and (values == values[0]).all():
        rows = f"{'all' if sample.is_all else 'the first'} {len(values):,} rows"
        advice = "shuffle the data if it is sorted by it" if not sample.is_all else "there is nothing to learn"
        sample.checker.warning(path, f'"{name}" is {values[0]:g} in {rows}; {advice}')


def _check_bad_rows(sample: _Sample) -> None:
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
    useless = [report for report in sample.bad_rows.reports if len(report[2]) == num_rows]
    for column, reason, _, values in useless:
        path = next((path for path, name in used_columns(checker) if name == column), "data_config")
        received = f'no value of "{column}" in {num_rows:,} rows can be read: {reason} (e.g. {_example(values)})'
        message = f"{received}; {_fix(sample)}correct the data or the feature"
        is_lost = column in (*data.label_fields, *data.sample_weight_fields)
        if is_lost or data.bad_row_policy == BadRowPolicy.SKIP_ROW:
            checker.error(path, message)
        else:
            checker.warning(path, message)


def _check_batch_size(sample: _Sample) -> None:
    data, num_rows = sample.checker.config.data_config, sample.batch.num_rows
    if not sample.is_all or num_rows >= data.batch_size:
        return
    received = f"the data has only {num_rows:,} rows, less than one batch of {data.batch_size:,}"
    if data.drop_remainder:
        advice = "drop_remainder drops them all; set it to false, or batch_size lower"
        sample.checker.error("data_config.batch_size", f"{received}: {advice}")
    else:
        sample.checker.warning("data_config.batch_size", f"{received}: an epoch is one step; set it lower")


def _fix(sample: _Sample) -> str:
    """The settings that make values valid, "" if none is known."""
    data = sample.checker.config.data_config
    if data.fg_mode in ENCODED:
        return f"{FgMode.Name(data.fg_mode)} reads encoded features; for raw columns set fg_mode: FG_DAG, or "
    is_text = data.dataset_type == DatasetType.CsvDataset
    hint = null_values_hint(value for *_, values in sample.bad_rows.reports for value in values) if is_text else ""
    hint = hint or _task_space_hint(sample)
    return f"{hint}, or " if hint else ""


def _task_space_hint(sample: _Sample) -> str:
    """The fields of a task whose label is missing only where another label is 0."""
    labels = list(sample.checker.config.data_config.label_fields)
    for label in labels:
        is_missing = np.asarray(sample.batch.column(label).is_null())
        for other in labels if is_missing.any() else ():
            column = sample.batch.column(other)
            if other != label and column.null_count == 0 and not np.asarray(column)[is_missing].any():
                fields = f'task_space_indicator_label: "{other}" out_task_space_weight: 0 metrics_in_task_space: true'
                return f'"{label}" is missing only where "{other}" is 0: give its task {fields}'
    return ""


def _reasons(sample: _Sample) -> list[str]:
    """Format the invalid values by column and reason, with their share of the rows."""
    num_rows = sample.batch.num_rows
    return [
        f"{column} {reason} {100 * len(rows) / num_rows:.3g} % (e.g. {_example(values)})"
        for column, reason, rows, values in sample.bad_rows.reports
    ]


def _example(values: Sequence[Any]) -> str:
    return repr(shorten(str(values[0])))


def _notes(sample: _Sample, path: str) -> list[str]:
    num_rows = sample.batch.num_rows
    columns = zip(sample.batch.schema.names, sample.batch.columns, strict=True)
    nulls = [f"{name} null {100 * column.null_count / num_rows:.3g} %" for name, column in columns if column.null_count]
    notes = [*nulls, *_reasons(sample)]
    head = f"data   first {num_rows:,} rows of {path}"
    return [head, *(f"       {note}" for note in notes)] if notes else [f"{head}: all values are valid"]
