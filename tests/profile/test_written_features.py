from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.profile.column_reading import read_column
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.initial_config import base_config
from tzrec.profile.quantities import Kind
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
        "IdFeature as_text_ item:as-text",
        "IdFeature as_text__ item:as_text",
    ]


def test_number_that_may_be_a_name_has_an_id_if_its_values_repeat() -> None:
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    for repeats, expected in ((10, ["lot", "lot_number"]), (9, ["lot"])):
        stats = column("lot", [7 * i for i in range(15)] * repeats)
        assert write_features(config, [read_column(stats, Kind.EITHER)]).value == expected
    assert config.feature_configs[0].HasField("raw_feature")


def number(values: Any) -> tuple[list[float], str]:
    """Edges and default value of the feature of a column that is a quantity."""
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    write_features(config, [read_column(column("price", values), {})])
    (feature,) = config.feature_configs
    return list(feature.raw_feature.piecewise_linear.edges), feature.raw_feature.default_value


def test_number_of_few_values_has_an_edge_at_each_and_the_median_as_default() -> None:
    assert number([0.5, 2.5, 2.5, 8.0]) == ([0.5, 2.5, 8.0], "2.5")


def test_number_of_many_values_has_edges_at_quantiles() -> None:
    edges, _ = number([x / 2 for x in range(801)])
    assert len(edges) == 17
    assert (edges[0], edges[-1]) == (0.0, 400.0)
    assert edges == pytest.approx([25 * i for i in range(17)], abs=2)


@pytest.mark.parametrize(("rows", "intervals"), [(400, 16), (1600, 32), (3200, 64), (9600, 64)])
def test_number_has_an_interval_for_each_fifty_rows(rows: int, intervals: int) -> None:
    edges, _ = number([x / 2 for x in range(rows)])
    assert len(edges) == intervals + 1


def test_numbers_beyond_32_bits_have_edges_that_increase_within() -> None:
    edges, _ = number([-4.3e241, None, 1.5, 1.8e130])
    assert edges == pytest.approx([-2e38, -1e38, 1.5, 1e38])


def test_missing_numbers_give_no_intervals() -> None:
    edges, _ = number([x / 2 for x in range(1600)] + [None] * 9600)
    assert len(edges) == 32 + 2


def test_number_that_is_mostly_zero_has_edges_among_the_others() -> None:
    edges, _ = number([0.0] * 9500 + [x + 0.5 for x in range(500)])
    assert len(edges) == 52  # of the thousandths that quantiles are taken at, one in twenty is not 0
    assert edges[0] == 0.0


def test_missing_number_is_one_interval_below_all_others() -> None:
    assert number([1.5, None, 2.5, 5.5]) == ([0.5, 1.5, 2.5, 5.5], "0.5")
    assert number([2.5, None]) == ([1.5, 2.5], "1.5")


def test_write_features_sets_the_dimension_of_vectors() -> None:
    config = base_config("x.parquet", "x.parquet", "model", ["clk"])
    write_features(config, [read_column(column("v", [[1.0, 2.5], [3.0, 4.0]]))])
    (feature,) = config.feature_configs
    assert (feature.raw_feature.feature_name, feature.raw_feature.value_dim) == ("v", 2)
