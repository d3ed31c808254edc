"""Function of `tzrec suggest`: scan the data once, suggest values, apply them to the config."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tzrec import env
from tzrec.config.check import check
from tzrec.config.edit import apply_edits
from tzrec.config.load import ConfigSource
from tzrec.config.names import did_you_mean
from tzrec.config.schema import MISSING, missing_required
from tzrec.data.reader import open_reader
from tzrec.errors import ConfigError, Problem
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.feature_suggestions import merge_shared, out_of_range, suggest_fields
from tzrec.profile.feature_targets import FeatureTarget, feature_targets
from tzrec.profile.rules import Suggestion
from tzrec.profile.scan import scan
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
        notes: ids out of range, remaining problems of the config, and other things that a user should know.
        problems: those of the notes that `check` reports.
        readings: what `init` takes each column as, in the order of the data.
    """

    config: EasyRecConfig
    rows: int
    columns: list[ColumnStats]
    suggestions: list[Suggestion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    readings: list[ColumnReading] = field(default_factory=list)


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
    threads = threads or env.available_cpus()
    rows, stats = scan(reader, lambda: [target.new_stats() for target in targets], threads, "suggest")
    # statistics of hashes mean nothing to a reader
    columns = [
        column for column, target in zip(stats, targets, strict=True) if target.is_column or not target.makes_ids
    ]
    result = SuggestResult(config, rows, columns, notes=notes)
    complete(result, targets, stats, refit)
    return result


def complete(
    result: SuggestResult, targets: Sequence[FeatureTarget], stats: Sequence[ColumnStats], refit: Collection[str]
) -> None:
    """Add and apply the suggestions for all targets, and note the remaining problems."""
    pairs = zip(targets, merge_shared(targets, stats), strict=True)
    suggestions = [item for target, merged in pairs for item in suggest_fields(result.config, target, merged, refit)]
    apply_edits(result.config, {item.path: item.value for item in suggestions})
    result.suggestions += suggestions
    result.notes += filter(None, map(_mismatch, targets, stats))
    missing = [f"{name} {MISSING}" for name in missing_required(result.config)]
    result.problems = missing or [str(problem) for problem in check(ConfigSource(result.config))]
    result.notes += result.problems


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
