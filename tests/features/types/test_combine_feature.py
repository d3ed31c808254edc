from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import config_problem, encode, encoder, ids_by_row, reports
from tzrec.features.base import Table


def feature(text: str = "") -> str:
    return f'combine_feature {{ feature_name: "f" expression: "user:c" embedding_dim: 4 {text} }}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [3, 0, 0, 5]),
        ('combiner: "mean"', [1.5, 0, 0, 5]),
        ('combiner: "avg" default_value: "-1"', [1.5, -1, -1, 5]),
        ('combiner: "min"', [1, 0, 0, 5]),
        ('combiner: "max"', [2, 0, 0, 5]),
        ('combiner: "count"', [2, 0, 0, 1]),
        ('normalizer: "method=expression,expr=2*x" default_value: "7"', [6, 7, 7, 10]),
    ],
)
def test_numbers_of_row_are_combined(text: str, expected: list[float]) -> None:
    for values in (["1.0\x1d2.0", "", None, "5"], [[1.0, 2.0], [], None, [5.0]], [[1, 2], [], None, [5]]):
        column, bad = encode(feature(text), values)
        assert column.values.tolist() == [[value] for value in expected]
        assert column.values.dtype == np.float32
        assert not bad


MAP = 'value_map: [{key: "click" value: 1}, {key: "buy" value: 2.5}, {key: "7" value: 4}]'


def test_value_map_maps_words_to_numbers() -> None:
    column, bad = encode(feature(MAP + ' default_value: "9"'), ["click\x1dbuy", "buy\x1dsee", "see", None])
    assert column.values.tolist() == [[3.5], [2.5], [9], [9]]
    assert not bad
    assert encode(feature(MAP), [7, 8, None])[0].values.tolist() == [[4], [0], [0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("num_buckets: 9", [[3], [], [5]]),
        ('num_buckets: 9 default_value: "8"', [[3], [8], [5]]),
        ("boundaries: [1, 3, 4]", [[2], [], [3]]),
        ('boundaries: [1, 3, 4] default_value: "1" combiner: "min"', [[1], [1], [3]]),
        ('boundaries: [1, 3, 4] normalizer: "method=expression,expr=x-2"', [[1], [], [2]]),
    ],
)
def test_combined_numbers_become_ids(text: str, expected: list[list[int]]) -> None:
    column, bad = encode(feature(text), ["1\x1d2", "", "5.0"])
    assert ids_by_row(column) == expected
    assert not bad


def test_bad_values_are_reported() -> None:
    column, bad = encode(feature('default_value: "-1"'), ["1\x1dx", "y", "nan", "2"])
    assert column.values.tolist() == [[1], [-1], [-1], [2]]
    assert reports(bad) == [("c", "not a number", [0, 1, 2], ["1\x1dx", "y", "nan"])]
    column, bad = encode(feature("num_buckets: 4"), ["1\x1d2", "3\x1d1", "1.5"])
    assert ids_by_row(column) == [[3], [], []]
    assert [report[:3] for report in reports(bad)] == [("c", "not an integer", [2]), ("c", "out of range [0, 4)", [1])]


def test_encoded_and_bucketize_data_are_read() -> None:
    assert ids_by_row(encode(feature("num_buckets: 9"), ["3", None], "FG_NONE")[0]) == [[3], []]
    built = encoder(feature('boundaries: [1, 3] normalizer: "method=log10"'), mode="FG_BUCKETIZE")
    assert ids_by_row(built.encode(pa.table({"f": [2.0, 3.0]}))[0]["f"]) == [[1], [2]]
    built = encoder(feature(), mode="FG_BUCKETIZE")
    assert built.encode(pa.table({"f": [2.0, None]}))[0]["f"].values.tolist() == [[2], [0]]


def test_attributes_of_combine_feature() -> None:
    built = encoder(feature("num_buckets: 7")).features["f"]
    assert (built.table, built.is_sparse, built.output_dim) == (Table("f_emb", 7, 4), True, 4)
    built = encoder(feature()).features["f"]
    assert (built.table, built.is_sparse, built.output_dim) == (None, False, 1)


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("num_buckets: 3 boundaries: 1", ".boundaries", "num_buckets and boundaries are set; choose one"),
        ("num_buckets: 0", ".num_buckets", "0 rows"),
        ('num_buckets: 3 normalizer: "method=log10"', ".normalizer", "num_buckets uses whole numbers"),
        ('combiner: "gap_max"', ".combiner", '"gap_max" is not one of'),
        ('default_value: "x"', ".default_value", "'x' is not a number"),
        (
            "num_buckets: 3 autodis { num_channels: 3 }",
            ".autodis",
            "applies to numbers, and the values of this feature become ids",
        ),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(feature(text))
    assert problem.field == f"feature_configs[0].combine_feature{field}"
    assert message in problem.message
