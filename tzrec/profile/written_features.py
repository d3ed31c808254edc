"""Features of a first config: those that a column of a kind and of such statistics becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tzrec.config.sequences import feature_members
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.quantities import Kind
from tzrec.profile.rules import Suggestion, edges, has_repeats, in_float32, is_narrow, normalizer_text, number_text
from tzrec.profile.written_lists import list_features
from tzrec.profile.written_times import time_features
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

NUMBER_DIM = 8
"""Width of the embedding of a number."""
_INTERVALS, _INTERVAL_ROWS = (16, 64), 50
"""Least and most intervals of a number, and the rows for each where there are rows for more than the least."""


def write_features(config: EasyRecConfig, readings: Sequence[ColumnReading]) -> Suggestion:
    """Replace all features of a config by those of the columns; `suggest_fields` adds their sizes later.

    Args:
        config: to change.
        readings: columns that get features, in their order.
    """
    old = feature_names(config)
    config.ClearField("feature_configs")
    names = set[str]()
    name_by_column = {reading.name: new_name(reading.name, names) for reading in readings}
    for reading in readings:
        config.feature_configs.extend(_features(reading, name_by_column, names))
    return Suggestion(feature_names(config), "one for each column", "feature_configs", old)


def feature_names(config: EasyRecConfig) -> list[str] | None:
    """Names of the features of a config, None if there are none."""
    members = (member for feature in config.feature_configs for member in feature_members(feature))
    return [member.message.feature_name for member in members] or None


def new_name(column: str, names: set[str]) -> str:
    """A name for a feature of a column that no other one has; adds it to the names."""
    name = re.sub(r"\W", "_", column)
    while name in names:
        name += "_"
    names.add(name)
    return name


def expression_of(column: str) -> str:
    """Input of a feature that reads a column: that of a user by its name, else that of an item."""
    return f"{'user' if column.lower().startswith('user') else 'item'}:{column}"


def _features(reading: ColumnReading, name_by_column: Mapping[str, str], names: set[str]) -> Iterator[FeatureConfig]:
    """Yield the features of a column."""
    stats, kind = reading.stats, reading.kind
    assert stats is not None
    if reading.time is not None:
        yield from time_features(reading.time, stats, expression_of, lambda text: new_name(text, names))
        return
    has_id = kind == Kind.EITHER and has_repeats(stats)
    fields = {"feature_name": name_by_column[reading.name], "expression": expression_of(reading.name)}
    if kind in (Kind.VALUES, Kind.SEQUENCE, Kind.WEIGHTS):
        shared = name_by_column.get(reading.shares_with)
        yield from list_features(reading, stats, fields, f"{shared}_emb" if shared else "")
    elif kind in (Kind.NAME, Kind.TEXT) or has_id:
        yield FeatureConfig(id_feature=fields)
    if kind in (Kind.QUANTITY, Kind.EITHER):
        name = new_name(f"{reading.name}_number", names) if has_id else fields["feature_name"]
        yield from _number_features(reading, stats, {**fields, "feature_name": name})


def _number_features(reading: ColumnReading, stats: ColumnStats, fields: dict[str, str]) -> Iterator[FeatureConfig]:
    """Yield the feature of a quantity: an embedding that is linear between edges at its quantiles.

    It learns what is not monotonic, and long tails do not matter. On small tables that is better than an embedding for
    each bucket, which forgets that neighboring buckets are alike, and than the scaled number. Rows of several numbers
    are a vector of them.
    """
    if stats.widths[1] > 1:
        if reading.kind == Kind.QUANTITY:
            separator = {"separator": reading.shape.separator} if reading.shape.separator else {}
            yield FeatureConfig(raw_feature={**fields, "value_dim": stats.widths[1], **separator})
        return
    if stats.numbers:
        yield _number(fields, stats)


def _number(fields: dict[str, str], stats: ColumnStats) -> FeatureConfig:
    """Create the feature of a quantity. A missing number has the vector 0 if there are any, else that of the median."""
    least, most = _INTERVALS
    places = edges(stats, min(max(stats.values // _INTERVAL_ROWS, least), most))
    missing = in_float32(stats.quantiles([0.5])[0])
    if stats.missing or len(places) == 1:
        missing = places[0] - (places[1] - places[0] if len(places) > 1 else max(abs(places[0]) * 1e-3, 1.0))
        places = [missing, *places]
    least_value, most_value = stats.moments.least, stats.moments.most
    feature = FeatureConfig(raw_feature=fields)
    feature.raw_feature.default_value = number_text(missing, most_value - least_value)
    if is_narrow(stats):
        feature.raw_feature.normalizer = normalizer_text("minmax", stats)
        places = [(place - least_value) / (most_value - least_value) for place in places]
    feature.raw_feature.embedding_dim = NUMBER_DIM
    feature.raw_feature.piecewise_linear.edges.extend(places)
    return feature
