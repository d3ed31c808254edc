from __future__ import annotations

from typing import Any

from tests.fixtures.column_stats import column_stats
from tzrec.profile.column_reading import read_column
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.initial_config import base_config
from tzrec.profile.written_features import write_features


def column(name: str, values: Any) -> ColumnStats:
    return column_stats(values, name=name)


def features(*columns: ColumnStats) -> list[str]:
    """The features as short text."""
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    change = write_features(config, [read_column(stats) for stats in columns])
    messages = [getattr(feature, feature.WhichOneof("feature")) for feature in config.feature_configs]
    assert change.value == ([message.feature_name for message in messages] or None)
    return [f"{message.DESCRIPTOR.name} {message.feature_name} {message.expression}" for message in messages]


def test_write_features_creates_a_feature_per_column() -> None:
    texts = features(
        column("user_id", [1, 2, 1]),
        column("tags", ["a\x1db", None, "c"]),
        column("price", [1.0, 2.5, 1.0]),
        column("whole", [1.0, 2.0, 1.0]),
        column("as text", ["1.5", "2", "1"]),
        column("as-text", ["1", "2", "1"]),
        column("as_text", ["x", "y", "x"]),
    )
    assert texts == [
        "IdFeature user_id user:user_id",
        "IdFeature tags item:tags",
        "RawFeature price item:price",
        "RawFeature whole item:whole",
        "RawFeature as_text item:as text",
        "RawFeature as_text_bucket item:as text",
        "IdFeature as_text_ item:as-text",
        "IdFeature as_text__ item:as_text",
    ]


def test_write_features_sets_the_dimension_of_vectors() -> None:
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    write_features(config, [read_column(column("v", [[1.0, 2.5], [3.0, 4.0]]))])
    (feature,) = config.feature_configs
    assert (feature.raw_feature.feature_name, feature.raw_feature.value_dim) == ("v", 2)
