"""Functions of `tzrec init` and `tzrec suggest`: scan the data once, suggest values, apply them to the config."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tzrec import env
from tzrec.config.check import check
from tzrec.config.edit import apply_edits
from tzrec.config.load import ConfigSource
from tzrec.config.names import did_you_mean
from tzrec.config.schema import MISSING, missing_required
from tzrec.data.reader import open_reader
from tzrec.data.text_ids import decimal_ids_note
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.feature_suggestions import merge_shared, out_of_range, suggest_fields
from tzrec.profile.feature_targets import FeatureTarget, feature_targets
from tzrec.profile.initial_config import (
    add_features,
    add_model,
    add_training,
    hold_out,
    tolerate_bad_rows,
    unreadable_columns,
)
from tzrec.profile.label_stats import LabelStats, ensure_numbers, label_notes
from tzrec.profile.quantities import Kind
from tzrec.profile.rules import Suggestion
from tzrec.profile.scan import scan
from tzrec.profile.text_columns import declare_null_values
from tzrec.protos.data_pb2 import DataConfig, DatasetType, FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig

REFITTABLE = ("vocab_list", "hash_bucket_size", "num_buckets", "embedding_dim", "boundaries", "normalizer")
"""Fields that `suggest` can suggest again where the config sets them."""


@dataclass
class SuggestResult:
    """Outcome of `init` or `suggest`.

    Attributes:
        config: the config with all suggestions applied.
        rows: number of rows of the data.
        columns: statistics of the columns.
        suggestions: the fields that were set or changed.
        notes: columns that were left out, ids out of range, remaining problems of the config.
    """

    config: EasyRecConfig
    rows: int
    columns: list[ColumnStats]
    suggestions: list[Suggestion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def suggest(
    config: EasyRecConfig, features: Collection[str] = (), refit: Collection[str] = (), threads: int | None = None
) -> SuggestResult:
    """Complete the features of a config, in place.

    Args:
        config: required fields of its features may be missing.
        features: names of the features to complete; empty for all.
        refit: fields to suggest again where they are set, of `REFITTABLE`.
        threads: parts of the data that are scanned in parallel; default: the cores of this machine.

    Raises:
        ConfigError: the config has no features, or none of such a name.
        DataError: the data cannot be read.
    """
    if not config.feature_configs:
        raise ConfigError([Problem("feature_configs", "is empty; create features from the data with tzrec init")])
    targets, notes = _select(config, features)
    names = [column for target in targets for column in target.columns]
    reader = open_reader(config.data_config, config.train_input_path, names)
    rows, stats = scan(reader, lambda: [target.new_stats() for target in targets], threads or env.available_cpus())
    # statistics of hashes mean nothing to a reader
    columns = [
        column for column, target in zip(stats, targets, strict=True) if target.is_column or not target.makes_ids
    ]
    result = SuggestResult(config, rows, columns, notes=notes)
    _complete(result, targets, stats, refit)
    return result


def init(
    config: EasyRecConfig, columns: Collection[str] = (), kind_by_column: Mapping[str, Kind] | None = None
) -> SuggestResult:
    """Create the features of a config from the columns of its data, and a model and training if it has none, in place.

    Args:
        config: names the data and the labels, see `initial_config.base_config`; existing features are replaced.
        columns: columns to create features for; empty for all.
        kind_by_column: kinds of columns that the user knows better than the data shows.

    Raises:
        ConfigError: the data is not raw, or a new model has no label.
        DataError: the data cannot be read, or a label is not a number.
    """
    data = config.data_config
    if data.fg_mode != FgMode.FG_DAG:
        raise ConfigError([Problem("data_config.fg_mode", "features can be created from raw columns only; use FG_DAG")])
    if not data.label_fields and not config.HasField("model_config"):
        raise ConfigError([Problem("data_config.label_fields", "is empty; name the columns to predict")])
    names, reason_by_column = _readable_columns(config, columns)
    for name in kind_by_column or ():
        if name not in names and name not in reason_by_column:
            raise ConfigError([Problem("", f'--as: there is no column "{name}" to read{did_you_mean(name, names)}')])
    reader = open_reader(data, config.train_input_path, names)
    text_suggestions: list[Suggestion] = []
    text_notes: list[str] = []
    if reader.is_text:
        text_suggestions, text_notes = declare_null_values(data, reader)
    rows, stats = scan(reader, lambda: [_new_stats(name, data.label_fields) for name in names], env.available_cpus())
    notes = [f'column "{name}" is left out: {reason}' for name, reason in reason_by_column.items()]
    result = SuggestResult(config, rows, stats, text_suggestions, notes + text_notes)
    labels = [column for column in stats if isinstance(column, LabelStats)]
    ensure_numbers(labels)
    result.notes += label_notes(labels)
    inputs = [column for column in stats if column.name not in data.label_fields]
    features, feature_notes = add_features(config, inputs, kind_by_column)
    result.notes += feature_notes
    result.suggestions += [features, *tolerate_bad_rows(config, inputs, labels)]
    if not config.HasField("model_config"):
        result.suggestions.append(add_model(config, labels))
    if not config.HasField("train_config"):
        result.suggestions += [*hold_out(config, rows), *add_training(config, rows)]
    stats_by_column = {column.name: column for column in stats}
    targets, _ = feature_targets(config)
    if reader.is_text:
        result.notes += decimal_ids_note(reader, [target.columns[0] for target in targets if target.makes_ids])
    _complete(result, targets, [stats_by_column[target.columns[0]] for target in targets], ())
    return result


def _new_stats(name: str, labels: Collection[str]) -> ColumnStats:
    return LabelStats(name) if name in labels else ColumnStats(name)


def _readable_columns(config: EasyRecConfig, columns: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """The columns to scan, labels included, and the reason for each column that no feature can read."""
    data = config.data_config
    reader = open_reader(data, config.train_input_path)
    inputs = set(columns or reader.columns) - {*data.label_fields, *data.sample_weight_fields}
    try:
        reader.select([*data.label_fields, *columns])  # all that is asked for by name exists, once
    except DataError as error:
        raise DataError(f"{error}{_header_hint(data)}") from error
    first = next(reader.read(), None)
    if first is None:
        raise DataError(f"{config.train_input_path}: no rows{reader.bad_lines.describe()}")
    reason_by_column = unreadable_columns(first.batch.select([name for name in reader.available if name in inputs]))
    reason_by_column |= dict.fromkeys(sorted(reader.repeated), "several columns have this name")
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


def _complete(
    result: SuggestResult, targets: Sequence[FeatureTarget], stats: Sequence[ColumnStats], refit: Collection[str]
) -> None:
    """Add and apply the suggestions for all targets, and note the remaining problems."""
    pairs = zip(targets, merge_shared(targets, stats), strict=True)
    suggestions = [item for target, merged in pairs for item in suggest_fields(result.config, target, merged, refit)]
    apply_edits(result.config, {item.path: item.value for item in suggestions})
    result.suggestions += suggestions
    result.notes += filter(None, map(_mismatch, targets, stats))
    missing = [f"{name} {MISSING}" for name in missing_required(result.config)]
    result.notes += missing or [str(problem) for problem in check(ConfigSource(result.config))]


def _mismatch(target: FeatureTarget, stats: ColumnStats) -> str:
    """Describe values of a column that do not match its feature; "" if they do."""
    return out_of_range(target, stats) if stats.values else f"{target.entry.path}: {stats.name} holds no values"


def _select(config: EasyRecConfig, names: Collection[str]) -> tuple[list[FeatureTarget], list[str]]:
    targets, notes = feature_targets(config)
    if not names:
        return targets, notes
    available = [target.name for target in targets]
    unknown = [name for name in names if name not in available]
    if unknown:
        message = "is not a feature that values can be suggested for"
        raise ConfigError(
            [Problem("", f'--features: "{name}" {message}{did_you_mean(name, available)}') for name in unknown]
        )
    return [target for target in targets if target.name in names], []
