"""Function of `tzrec init`: from a table to a config with features, model and training."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import pyarrow as pa

from tzrec import env
from tzrec.config.names import did_you_mean
from tzrec.data.reader import open_reader
from tzrec.data.text_ids import decimal_ids_note, first_rows
from tzrec.data.text_schema import valid_text
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.live_line import live_line
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.feature_targets import feature_targets
from tzrec.profile.first_look import FirstLook
from tzrec.profile.held_out_time import hold_out_latest
from tzrec.profile.initial_config import tolerate_bad_rows
from tzrec.profile.label_evidence import LabelEvidence
from tzrec.profile.label_pairs import LabelPairs, add_task_spaces
from tzrec.profile.label_stats import LabelStats, ensure_numbers, label_notes
from tzrec.profile.quantities import Kind
from tzrec.profile.row_sample import RowSample
from tzrec.profile.rules import Suggestion
from tzrec.profile.scan import Statistics, scan
from tzrec.profile.suggest import SuggestResult, complete
from tzrec.profile.text_columns import MissingWords, declare_null_values
from tzrec.profile.text_labels import TextLabels
from tzrec.profile.weighed_columns import sample_notes, weigh
from tzrec.profile.written_features import write_features
from tzrec.profile.written_training import add_model, add_training, hold_out
from tzrec.protos.data_pb2 import BadRowPolicy, DataConfig, DatasetType, FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def init(
    config: EasyRecConfig,
    columns: Collection[str] = (),
    kind_by_column: Mapping[str, Kind] | None = None,
    kept: Collection[str] = (),
    is_merged: bool = False,
) -> SuggestResult:
    """Create the features of a config from the columns of its data, and a model and training if it has none, in place.

    Args:
        config: names the data and the labels, see `initial_config.base_config`; existing features are replaced.
        columns: columns to create features for; empty for all.
        kind_by_column: kinds of columns that the user knows better than the data shows.
        kept: columns that are features even if they tell a label by themselves.
        is_merged: texts of a label that differ only in case or in spaces around them are one value.

    Raises:
        ConfigError: the data is not raw, or a new model has no label.
        DataError: the data cannot be read, or a label is neither a number nor one of a few texts.
    """
    data = config.data_config
    if data.fg_mode != FgMode.FG_DAG:
        raise ConfigError([Problem("data_config.fg_mode", "features can be created from raw columns only; use FG_DAG")])
    if not data.label_fields and not config.HasField("model_config"):
        raise ConfigError([Problem("data_config.label_fields", "is empty; name the columns to predict")])
    given = kind_by_column or {}
    names, reason_by_column = _readable_columns(config, columns)
    _ensure_columns("--as", given, names, reason_by_column)
    _ensure_columns("--keep", kept, names, reason_by_column)
    look, texts = _look(config, names, given, is_merged)
    reason_by_column |= look.reason_by_column
    names = [name for name in names if name not in reason_by_column]
    of_labels = [name for name in names if name in data.label_fields]
    is_complete = False
    while not is_complete:  # again only if labels of text have other values than in the first rows
        reader = open_reader(data, config.train_input_path, names)
        new_statistics = partial(_new_statistics, look, names, of_labels)
        rows, scanned = scan(reader, new_statistics, env.available_cpus(), "init", texts.to_numbers)
        is_complete = texts.is_complete()
    texts.ensure_values()
    stats = [item for item in scanned if isinstance(item, ColumnStats)]
    (sample,) = (item for item in scanned if isinstance(item, RowSample))
    (pairs,) = (item for item in scanned if isinstance(item, LabelPairs))
    suggestions, notes = [*look.missing.suggestions, *texts.suggestions()], [*look.missing.notes, *texts.notes()]
    result = SuggestResult(config, rows, stats, suggestions, notes)
    labels = [column for column in stats if isinstance(column, LabelStats)]
    ensure_numbers(labels)
    spaces = {} if config.HasField("model_config") else pairs.indicator_by_label()
    in_all_rows = [label for label in labels if label.name not in spaces]
    result.notes += label_notes(in_all_rows)
    result.readings = [*look.readings(stats, given), *_unreadable(reason_by_column)]
    evidence = LabelEvidence(sample, of_labels)
    with live_line.counting("init   weigh the columns"):
        weigh(result.readings, evidence, given, spaces, kept)
    for reading in result.readings:
        if reading.is_label and (text := texts.describe(reading.name)):
            reading.evidence = f"{text}; {reading.evidence}"
    result.notes += sample_notes(sample, evidence)
    inputs = [reading for reading in result.readings if not (reading.is_label or reading.is_left_out)]
    _ensure_any(inputs, result.readings)
    result.suggestions.append(write_features(config, inputs))
    result.suggestions += tolerate_bad_rows(config, inputs, in_all_rows)
    if not config.HasField("model_config"):
        result.suggestions += [add_model(config, labels), *add_task_spaces(config, spaces)]
    if not config.HasField("train_config"):
        result.suggestions += hold_out_latest(config, result.readings, sample, of_labels)
        result.suggestions += [*hold_out(config, rows), *add_training(config, rows, evidence.sorted_label())]
    stats_by_column = {column.name: column for column in stats}
    targets, _ = feature_targets(config)
    if reader.is_text:
        result.notes += decimal_ids_note(reader, [target.columns[0] for target in targets if target.makes_ids])
    complete(result, targets, [stats_by_column[target.columns[0]] for target in targets], ())
    return result


def _look(
    config: EasyRecConfig, names: Sequence[str], given: Mapping[str, Kind], is_merged: bool
) -> tuple[FirstLook, TextLabels]:
    """Look at the first rows, and declare the words for missing values of text files, and the values of labels."""
    data = config.data_config
    reader = open_reader(data, config.train_input_path, names)
    batches = list(first_rows(reader))
    rows = pa.Table.from_batches(batches, schema=reader.schema) if batches else reader.schema.empty_table()
    inputs = [name for name in names if name not in data.label_fields]
    if not reader.is_text:
        return FirstLook.of(rows, inputs, given, MissingWords()), TextLabels(data, rows, False, is_merged)
    valid = pa.table({name: _valid(rows.column(name)) for name in rows.column_names})
    missing = declare_null_values(data, valid)
    notes = list(_encoding_notes(rows, valid))
    missing.notes += notes
    if notes and data.bad_row_policy == BadRowPolicy.ERROR:
        data.bad_row_policy = BadRowPolicy.DEFAULT
        reason = "some cells are not UTF-8 text"
        missing.suggestions.append(Suggestion("DEFAULT", reason, "data_config.bad_row_policy", "ERROR"))
    return FirstLook.of(valid, inputs, given, missing), TextLabels(data, valid, True, is_merged)


def _valid(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace cells that are not UTF-8 by null."""
    return pa.chunked_array([valid_text(chunk)[0] for chunk in column.chunks], pa.string())


def _encoding_notes(rows: pa.Table, valid: pa.Table) -> Iterator[str]:
    """Yield a note for each column with cells that are not UTF-8."""
    for name in rows.column_names:
        num = valid.column(name).null_count - rows.column(name).null_count
        if num:
            yield (
                f'column "{name}": {num:,} of the first {len(rows):,} cells are not UTF-8 text and count as missing; '
                "convert a file of another encoding, e.g. iconv -f LATIN1 -t UTF-8 FILE > NEW_FILE"
            )


def _new_statistics(look: FirstLook, names: Sequence[str], labels: Sequence[str]) -> list[Statistics]:
    """Empty statistics of each column, and of the rows."""
    return [*(look.new_stats(name) for name in names), RowSample(), LabelPairs(labels)]


def _ensure_columns(flag: str, given: Collection[str], names: Sequence[str], unreadable: Collection[str]) -> None:
    for name in given:
        if name not in names and name not in unreadable:
            message = f'{flag}: there is no column "{name}" to read{did_you_mean(name, names)}'
            raise ConfigError([Problem("", message)])


def _ensure_any(inputs: Sequence[ColumnReading], readings: Sequence[ColumnReading]) -> None:
    """Raise an error that says why if no column gets a feature."""
    if not inputs:
        reasons = [f'"{reading.name}": {reading.evidence}' for reading in readings if reading.is_left_out]
        listed = "; ".join(reasons) or "there is none beside the labels and weights"
        raise DataError(f"no column can be a feature, and a model needs at least one: {listed}")


def _unreadable(reason_by_column: Mapping[str, str]) -> Iterator[ColumnReading]:
    """Yield the columns that no feature can read."""
    for name, reason in reason_by_column.items():
        reading = ColumnReading(name, Kind.SKIPPED, "")
        reading.leave_out(reason)
        yield reading


def _readable_columns(config: EasyRecConfig, columns: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """The columns to scan, labels included, and the reason for each column that no feature can read."""
    data = config.data_config
    reader = open_reader(data, config.train_input_path)
    inputs = set(columns or reader.columns) - {*data.label_fields, *data.sample_weight_fields}
    try:
        reader.select([*data.label_fields, *columns])  # all that is asked for by name exists, once
    except DataError as error:
        raise DataError(f"{error}{_header_hint(data)}") from error
    if next(reader.read(), None) is None:
        raise DataError(f"{config.train_input_path}: no rows{reader.bad_lines.describe()}")
    reason_by_column = dict.fromkeys(sorted(reader.repeated), "several columns have this name")
    folders = sorted(reader.folder_columns - {*columns, *data.label_fields})
    reason_by_column |= dict.fromkeys(folders, "it is the name of a partition folder; --features creates its feature")
    readable = {*data.label_fields, *inputs} - {*reason_by_column}
    return [name for name in reader.available if name in readable], reason_by_column


def _header_hint(data: DataConfig) -> str:
    if data.dataset_type != DatasetType.CsvDataset or not data.with_header:
        return ""
    edits = '{"data_config.with_header": false, "data_config.input_fields_str": "NAME;NAME;..."}'
    return (
        f". If the first line of the file holds no names, name all columns in file order: --edit_config_json '{edits}'"
    )
