"""One batch of the data through the features and labels of a config, for `tzrec check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from tzrec.config.checker import Checker, repeated
from tzrec.config.load import ConfigSource
from tzrec.config.names import did_you_mean
from tzrec.config.rules.data import ENCODED, used_columns
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.data.labels import label_values, weight_values
from tzrec.data.reader import Reader, open_reader
from tzrec.data.text_schema import TextSchema, typed
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.data_pb2 import BadRowPolicy, FgMode


@dataclass
class _Trial:
    """The sample and what it shows."""

    checker: Checker
    batch: pa.RecordBatch
    bad: BadRows = field(init=False)

    def __post_init__(self) -> None:
        self.bad = BadRows(self.batch.num_rows)


def try_data(source: ConfigSource, path: str) -> tuple[list[Problem], list[str]]:
    """Read one batch as training would.

    Args:
        source: a config without problems of its own.
        path: comma list of globs.

    Returns:
        what keeps the config from training on the data, and lines about the data for people to read.
    """
    checker = Checker(source)
    try:
        encoder = FeatureEncoder.from_config(source.config.feature_configs, source.config.data_config)
        trial = _open(checker, path)
    except ConfigError as error:
        return [Problem(each.field, each.message, checker.location(each.field)) for each in error.problems], []
    except DataError as error:
        return [Problem("", str(error), path)], []
    if trial is None:
        return checker.problems, []
    _try_features(trial, encoder)
    _try_targets(trial)
    return checker.problems, [] if checker.problems else _notes(trial, path)


def _open(checker: Checker, path: str) -> _Trial | None:
    """The first rows of the data, unless columns are missing, which is then a finding."""
    data = checker.config.data_config
    available = open_reader(data, path).available
    used = dict(used_columns(checker))
    for here, name in used.items():
        if name not in available:
            checker.error(here, f'no column "{name}" in the data{did_you_mean(name, available)}')
    if checker.problems:
        return None
    reader = open_reader(data, path, list(used.values()))
    piece = next(reader.read(), None)
    if piece is None:
        raise DataError("no rows")
    trial = _Trial(checker, piece.batch.slice(0, data.batch_size))
    trial.batch = _typed(trial, reader)
    return trial


def _typed(trial: _Trial, reader: Reader) -> pa.RecordBatch:
    """Text of CSV as the types it is read as."""
    data = trial.checker.config.data_config
    schema = TextSchema.of(data, reader, [*data.label_fields, *data.sample_weight_fields], ())
    return typed(trial.batch, {**schema.features, **schema.targets}, trial.bad)


def _try_features(trial: _Trial, encoder: FeatureEncoder) -> None:
    """Encode one feature after the other, so that a wrong type does not hide the next one."""
    for entry in _readable(trial.checker):
        feature = encoder.features[entry.name]
        columns = {each.name: trial.batch.column(each.name) for each in feature.inputs}
        try:
            feature.encode(columns, trial.bad)
        except DataError as error:
            trial.checker.error(entry.path, str(error))


def _readable(checker: Checker) -> Iterator[FeatureEntry]:
    """Features that read nothing but columns of the data."""
    mode = checker.config.data_config.fg_mode
    encoded = mode in ENCODED
    for entry in feature_entries(checker):
        derived = mode == FgMode.FG_DAG and any(text.startswith(("feature:", "const:")) for text in entry.reads)
        if not (entry.message.stub_type if encoded else derived):
            yield entry


def _try_targets(trial: _Trial) -> None:
    data = trial.checker.config.data_config
    for fields, convert in (("label_fields", label_values), ("sample_weight_fields", weight_values)):
        for here, name in repeated(f"data_config.{fields}", getattr(data, fields)):
            try:
                convert(name, trial.batch.column(name), trial.bad)
            except DataError as error:
                trial.checker.error(here, str(error))
    if trial.bad and data.bad_row_policy == BadRowPolicy.ERROR:
        wrong = "; ".join(_bad(trial))
        said = f"ERROR stops at the first bad row, and there are: {wrong}; use DEFAULT or SKIP_ROW, or correct the data"
        trial.checker.error("data_config.bad_row_policy", said)


def _bad(trial: _Trial) -> list[str]:
    """Bad values by column and reason, with their share of the rows."""
    rows = trial.batch.num_rows
    return [
        f"{column} {reason} {100 * len(where) / rows:.3g} % (e.g. {str(values[0])!r})"
        for column, reason, where, values in trial.bad.reports
    ]


def _notes(trial: _Trial, path: str) -> list[str]:
    rows = trial.batch.num_rows
    columns = zip(trial.batch.schema.names, trial.batch.columns, strict=True)
    null = [f"{name} null {100 * column.null_count / rows:.3g} %" for name, column in columns if column.null_count]
    said = [*null, *_bad(trial)]
    head = f"data   first {rows:,} rows of {path}"
    return [f"{head}: all values fit"] if not said else [head, *(f"       {each}" for each in said)]
