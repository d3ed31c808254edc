"""Check of the first batch of the data against the features and labels of a config, for `tzrec check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from tzrec.config.checker import Checker, repeated
from tzrec.config.load import ConfigSource
from tzrec.config.names import did_you_mean
from tzrec.config.rules.data import ENCODED, used_columns
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.data.labels import LabelReader, weight_values
from tzrec.data.null_words import null_values_hint
from tzrec.data.reader import Reader, open_reader
from tzrec.data.text_ids import decimal_ids_note
from tzrec.data.text_schema import TextSchema, cast_text, declared_types
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import readable
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.formatting import shorten
from tzrec.protos.data_pb2 import BadRowPolicy, DatasetType, FgMode
from tzrec.protos.feature_pb2 import ComboFeature, IdFeature


@dataclass
class _Sample:
    """First batch of the data.

    Attributes:
        checker: collects problems.
        batch: raw columns.
        notes: lines about the files.
        bad_rows: collects invalid values.
    """

    checker: Checker
    batch: pa.RecordBatch
    notes: list[str]
    bad_rows: BadRows = field(init=False)

    def __post_init__(self) -> None:
        self.bad_rows = BadRows(self.batch.num_rows)


def check_data(source: ConfigSource, paths: Sequence[str]) -> tuple[list[Problem], list[str]]:
    """Compare the files of each path, read one batch as training does, and encode it.

    Args:
        source: a config without problems.
        paths: comma lists of globs: of the training data, then of the evaluation data.

    Returns:
        Problems that prevent training on the data, and lines about the data for the user.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    for index, path in enumerate(dict.fromkeys(paths)):
        path_problems, lines = _check_path(source, path)
        prefix = f"{path}: " if index else ""
        new = [problem for problem in path_problems if problem not in problems]
        problems += [replace(problem, message=f"{prefix}{problem.message}") for problem in new]
        notes += lines
    return problems, notes


def _check_path(source: ConfigSource, path: str) -> tuple[list[Problem], list[str]]:
    checker = Checker(source)
    try:
        encoder = FeatureEncoder.from_config(source.config.feature_configs, source.config.data_config)
        sample = _read_sample(checker, path)
    except ConfigError as error:
        return checker.located(error.problems), []
    except DataError as error:
        return [Problem("", str(error), path)], []
    if sample is None:
        return checker.problems, []
    _check_features(sample, encoder)
    _check_targets(sample)
    return checker.problems, [] if checker.problems else [*_notes(sample, path), *sample.notes]


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
    piece = next(reader.read(), None)
    if piece is None:
        raise DataError(f"no rows{reader.bad_lines.describe()}")
    notes = [f"       {note}; a value that is not of this type will stop training" for note in reader.notes]
    if reader.is_text:
        notes += [f"       {note}" for note in decimal_ids_note(reader, _text_id_columns(checker))]
    if reader.bad_lines.counts:
        notes.append(f"       rows are missing{reader.bad_lines.describe()}")
    sample = _Sample(checker, piece.batch.slice(0, data.batch_size), notes)
    sample.batch = _convert_text(sample, reader)
    arrays = [readable(column, name, sample.bad_rows) for name, column in zip(reader.columns, sample.batch.columns)]
    sample.batch = pa.RecordBatch.from_arrays(arrays, list(reader.columns))
    return sample


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
    for fields, convert in (("label_fields", read_label), ("sample_weight_fields", weight_values)):
        for field_path, name in repeated(f"data_config.{fields}", getattr(data, fields)):
            try:
                convert(name, sample.batch.column(name), sample.bad_rows)
            except DataError as error:
                sample.checker.error(field_path, str(error))
    if sample.bad_rows and data.bad_row_policy == BadRowPolicy.ERROR:
        reasons = "; ".join(_reasons(sample))
        fix = f"{_fix(sample)}use DEFAULT or SKIP_ROW"
        message = f"ERROR stops at the first bad row, and the data has bad rows: {reasons}; {fix}"
        sample.checker.error("data_config.bad_row_policy", message)


def _fix(sample: _Sample) -> str:
    """The setting that makes words for missing values valid, "" if there are none or the data has types."""
    is_text = sample.checker.config.data_config.dataset_type == DatasetType.CsvDataset
    hint = null_values_hint(value for *_, values in sample.bad_rows.reports for value in values) if is_text else ""
    return f"{hint}, or " if hint else ""


def _reasons(sample: _Sample) -> list[str]:
    """Format the invalid values by column and reason, with their share of the rows."""
    num_rows = sample.batch.num_rows
    return [
        f"{column} {reason} {100 * len(rows) / num_rows:.3g} % (e.g. {shorten(str(values[0]))!r})"
        for column, reason, rows, values in sample.bad_rows.reports
    ]


def _notes(sample: _Sample, path: str) -> list[str]:
    num_rows = sample.batch.num_rows
    columns = zip(sample.batch.schema.names, sample.batch.columns, strict=True)
    nulls = [f"{name} null {100 * column.null_count / num_rows:.3g} %" for name, column in columns if column.null_count]
    notes = [*nulls, *_reasons(sample)]
    head = f"data   first {num_rows:,} rows of {path}"
    return [head, *(f"       {note}" for note in notes)] if notes else [f"{head}: all values are valid"]
