"""Features of a first config: those that a column of a kind and of such statistics becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tzrec.config.sequences import feature_members
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.quantities import Kind
from tzrec.profile.rules import Suggestion, boundaries
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def write_features(config: EasyRecConfig, readings: Sequence[ColumnReading]) -> Suggestion:
    """Replace all features of a config by those of the columns; `suggest_fields` adds their sizes later.

    Args:
        config: to change.
        readings: columns that get features, in their order.
    """
    old = feature_names(config)
    config.ClearField("feature_configs")
    names = set[str]()
    for reading in readings:
        config.feature_configs.extend(_features(reading, names))
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


def _features(reading: ColumnReading, names: set[str]) -> Iterator[FeatureConfig]:
    """Yield the features of a column.

    A name of something is an id. A quantity is two features: the number, and a bucket of equal frequency with an
    embedding, which learns what is not monotonic.
    """
    stats, kind = reading.stats, reading.kind
    assert stats is not None
    name = new_name(reading.name, names)
    expression = f"{'user' if reading.name.lower().startswith('user') else 'item'}:{reading.name}"
    if kind in (Kind.NAME, Kind.EITHER):
        yield FeatureConfig(id_feature={"feature_name": name, "expression": expression})
    if kind == Kind.QUANTITY:
        dim = {"value_dim": stats.widths[1]} if stats.widths[1] > 1 else {}
        yield FeatureConfig(raw_feature={"feature_name": name, "expression": expression, **dim})
    edges = boundaries(stats) if kind != Kind.NAME and stats.widths[1] == 1 and stats.numbers else None
    if edges is not None and len(edges.value) > 1:  # type: ignore[arg-type]
        bucket = {"feature_name": new_name(f"{name}_bucket", names), "expression": expression}
        yield FeatureConfig(raw_feature={**bucket, "boundaries": edges.value})
