"""Features of a column of times: hour and weekday as ids, days as a number and as buckets of equal frequency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf import json_format

from tzrec.profile import rules
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.time_columns import TimeColumn
from tzrec.protos.feature_pb2 import CustomFeature, FeatureConfig

_NUM_VALUES = {"hour": 24, "weekday": 7}
_DIM = 4
"""Dimension of the embeddings of hours and weekdays."""


def time_features(
    time: TimeColumn, stats: ColumnStats, expression: Callable[[str], str], new_name: Callable[[str], str]
) -> Iterator[FeatureConfig]:
    """Yield the features of a column of times.

    Args:
        time: the column.
        stats: of its days.
        expression: returns the input of a column.
        new_name: returns an unused name of a feature.
    """
    for part in time.parts:
        num_values = _NUM_VALUES[part]
        # the last row of the table is that of a missing time
        sizes = {"num_buckets": num_values + 1, "default_value": str(num_values), "embedding_dim": _DIM}
        yield _feature(time, part, [expression(time.name)], new_name, sizes)
    if time.is_row_time or not stats.numbers:
        return
    inputs = [expression(name) for name in time.day_columns()]
    normalizer = rules.normalizer(stats)
    scale = {} if normalizer is None else {"normalizer": normalizer.value}
    yield _feature(time, "days", inputs, new_name, scale)
    edges = rules.boundaries(stats)
    if edges is not None and len(edges.value) > 1:  # type: ignore[arg-type]
        dim = rules.embedding_dim(len(edges.value) + 1).value  # type: ignore[arg-type]
        yield _feature(time, "days", inputs, new_name, {"boundaries": edges.value, "embedding_dim": dim}, "_bucket")


def _feature(
    time: TimeColumn,
    part: str,
    inputs: list[str],
    new_name: Callable[[str], str],
    fields: Mapping[str, Any],
    suffix: str = "",
) -> FeatureConfig:
    name = new_name(f"{time.name}_{part}{suffix}")
    feature = CustomFeature(feature_name=name, operator_name="TimePart", expression=inputs, **fields)
    json_format.ParseDict(time.params(part), feature.operator_params)
    return FeatureConfig(custom_feature=feature)
