"""Fit: one look at the data, what it proposes for a config, and the config with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tzrec.config.check import check
from tzrec.config.edit import apply_edits
from tzrec.config.load import ConfigSource
from tzrec.config.names import hint
from tzrec.config.schema import MISSING, missing_required
from tzrec.data.reader import open_reader, require
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.profile.column import ColumnStats
from tzrec.profile.feature_targets import FeatureTarget, subjects
from tzrec.profile.initial_config import add_features, add_model, add_training, tolerate, unreadable
from tzrec.profile.scan import look
from tzrec.profile.suggestions import Suggestion, outside, propose, together
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass
class SuggestResult:
    """What came out.

    Attributes:
        config: with all that is proposed.
        rows: of the data.
        columns: what was looked at.
        proposals: the fields that have changed by it.
        notes: what else there is to know.
    """

    config: EasyRecConfig
    rows: int
    columns: list[ColumnStats]
    proposals: list[Suggestion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit_config(config: EasyRecConfig, threads: int, names: Collection[str], refit: Collection[str]) -> SuggestResult:
    """Complete the features of a config, in place.

    Args:
        config: required fields of its features may be missing.
        threads: parts of the data that are looked at side by side.
        names: features to look at; empty for all.
        refit: fields to propose anew where they are set.

    Raises:
        ConfigError: there is no such feature.
        DataError: the data cannot be read.
    """
    features, notes = _chosen(config, names)
    read = [column for each in features for column in each.columns]
    reader = open_reader(config.data_config, config.train_input_path, read)
    rows, found = look(reader, lambda: [each.look() for each in features], threads)
    # hashes in place of ids would tell nothing
    columns = [
        each for each, feature in zip(found, features, strict=True) if feature.is_column or not feature.makes_ids
    ]
    fit = SuggestResult(config, rows, columns, notes=notes)
    _conclude(fit, features, found, refit)
    return fit


def fit_from_data(config: EasyRecConfig, threads: int, names: Collection[str]) -> SuggestResult:
    """Give a config features for the columns of its data, and a model and training if it has none, in place.

    Args:
        config: says where the data is, and what is to be predicted.
        threads: parts of the data that are looked at side by side.
        names: columns to make features of; empty for all.

    Raises:
        ConfigError: the data is not raw, or a new model has no label.
        DataError: the data cannot be read, or a label is no number.
    """
    data = config.data_config
    if data.fg_mode != FgMode.FG_DAG:
        raise ConfigError([Problem("data_config.fg_mode", "features can be made from raw columns only; use FG_DAG")])
    if not data.label_fields and not config.HasField("model_config"):
        raise ConfigError([Problem("data_config.label_fields", "is empty; name what is to be predicted")])
    wanted, refused = _columns(config, names)
    reader = open_reader(data, config.train_input_path, wanted)
    rows, columns = look(reader, lambda: [ColumnStats(name) for name in wanted], threads)
    fit = SuggestResult(
        config, rows, columns, notes=[f'column "{name}" is left out: {why}' for name, why in refused.items()]
    )
    labels = [each for each in columns if each.name in data.label_fields]
    inputs = [each for each in columns if each.name not in data.label_fields]
    made, left_out = add_features(config, inputs)
    fit.notes += left_out
    fit.proposals += [made, *tolerate(config, inputs, labels)]
    if not config.HasField("train_config"):
        fit.proposals.append(add_training(config))
    if not config.HasField("model_config"):
        fit.proposals.append(add_model(config, labels))
    by_name = {each.name: each for each in columns}
    features, _ = subjects(config)
    _conclude(fit, features, [by_name[each.columns[0]] for each in features], ())
    return fit


def _columns(config: EasyRecConfig, names: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """The columns to look at, labels among them, and those that no feature reads, with the reason."""
    data = config.data_config
    reader = open_reader(data, config.train_input_path)
    inputs = set(names or reader.available) - {*data.label_fields, *data.sample_weight_fields}
    require([*data.label_fields, *inputs], reader.available, reader.files[0])
    first = next(reader.read(), None)
    if first is None:
        raise DataError(f"{config.train_input_path}: no rows")
    refused = unreadable(first.batch.select([name for name in reader.available if name in inputs]))
    return [name for name in reader.available if name in {*data.label_fields, *inputs} - {*refused}], refused


def _conclude(
    fit: SuggestResult, features: Sequence[FeatureTarget], columns: Sequence[ColumnStats], refit: Collection[str]
) -> None:
    """Propose, apply, and see what is still missing."""
    pairs = list(zip(features, together(features, columns), strict=True))
    found = [each for feature, stats in pairs for each in propose(fit.config, feature, stats, refit)]
    apply_edits(fit.config, {each.path: each.new for each in found})
    fit.proposals += found
    fit.notes += filter(None, map(_wrong, features, columns))
    still = [f"{name} {MISSING}" for name in missing_required(fit.config)]
    fit.notes += still or [str(problem) for problem in check(ConfigSource(fit.config))]


def _wrong(feature: FeatureTarget, stats: ColumnStats) -> str:
    """What does not fit between a feature and its values, or ""."""
    return outside(feature, stats) if stats.values else f"{feature.entry.path}: {stats.name} holds nothing"


def _chosen(config: EasyRecConfig, names: Collection[str]) -> tuple[list[FeatureTarget], list[str]]:
    features, notes = subjects(config)
    if not names:
        return features, notes
    known = [each.name for each in features]
    unknown = [name for name in names if name not in known]
    if unknown:
        said = "is no feature that data says something about"
        raise ConfigError([Problem("", f'--features: "{name}" {said}{hint(name, known)}') for name in unknown])
    return [each for each in features if each.name in names], []
