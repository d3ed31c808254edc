from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import config_problem, encode, encoder, id_feature, ids_by_row, reports
from tzrec.errors import ConfigError, DataError
from tzrec.features.base import FeatureInput, Table

WORDS = ["abc\x1defg", "", "hij", None]
HASH = "hash_bucket_size: 100"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # ids that TorchEasyRec's feature tests assert
        ("hash_bucket_size: 100", [[33, 44], [], [66]]),
        ('hash_bucket_size: 100 default_value: "xyz"', [[33, 44], [13], [66]]),
        ('vocab_list: ["abc", "efg"]', [[2, 3], [], [1]]),
        ('vocab_list: ["abc", "efg"] default_value: "xyz"', [[2, 3], [0], [1]]),
        ('vocab_list: ["abc", "efg"] default_value: "abc"', [[2, 3], [2], [1]]),
        ('vocab_list: ["xyz", "abc", "efg"] default_bucketize_value: 0', [[1, 2], [], [0]]),
        ('vocab_dict: [{key: "abc" value: 2}, {key: "efg" value: 3}]', [[2, 3], [], [1]]),
        # a default that is listed: vocab_list keeps its row, vocab_dict overwrites it by 0
        ('vocab_dict: [{key: "abc" value: 2}, {key: "efg" value: 3}] default_value: "xyz"', [[2, 3], [0], [1]]),
        ('vocab_dict: [{key: "abc" value: 2}, {key: "efg" value: 3}] default_value: "abc"', [[0, 3], [0], [1]]),
        (
            'vocab_dict: [{key: "abc" value: 0}, {key: "efg" value: 5}] default_value: "z" default_bucketize_value: 3',
            [[0, 5], [3], [3]],
        ),
        # only the first value
        ("hash_bucket_size: 100 value_dim: 1", [[33], [], [66]]),
        ('hash_bucket_size: 100 default_value: "abc\x1defg"', [[33, 44], [33, 44], [66]]),
        ('hash_bucket_size: 100 value_dim: 1 default_value: "abc\x1defg"', [[33], [33], [66]]),
    ],
)
def test_words_become_ids(text: str, expected: list[list[int]]) -> None:
    column, bad = encode(id_feature(text), WORDS)
    assert ids_by_row(column) == [*expected, expected[1]]  # null and "" are the same
    assert not bad
    assert column.values.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("hash_bucket_size: 100", 100),
        ("num_buckets: 7", 7),
        ('vocab_list: ["abc", "efg"]', 4),
        ('vocab_list: ["abc", "efg"] default_bucketize_value: 0', 2),
        ('vocab_dict: [{key: "abc" value: 2}, {key: "efg" value: 9}]', 10),
    ],
)
def test_table_rows_follow_bucketizer(text: str, count: int) -> None:
    assert encoder(id_feature(text)).features["f"].table == Table("f_emb", count, 4)


def test_table_has_settings_of_config() -> None:
    text = (
        'num_buckets: 9 embedding_name: "shared" pooling: "mean" data_type: "FP16" init_fn: "nn.init.zeros_" '
        'trainable: false embedding_constraints { sharding_types: "row_wise" compute_kernels: "fused" }'
    )
    feature = encoder(id_feature(text)).features["f"]
    assert feature.table == Table(
        "shared",
        9,
        4,
        "mean",
        "FP16",
        "nn.init.zeros_",
        False,
        sharding_types=("row_wise",),
        compute_kernels=("fused",),
    )
    assert feature.inputs == (FeatureInput("user", "c"),)
    assert (feature.is_sparse, feature.is_weighted, feature.dim, feature.output_dim) == (True, False, 0, 4)


def test_int64_ids_are_not_copied() -> None:
    values = np.array([3, 1, 2])
    column, bad = encode(id_feature("num_buckets: 4"), pa.array(values))
    assert column.values.tolist() == [3, 1, 2]
    assert column.lengths is None
    assert np.shares_memory(column.values, values)
    assert not bad


@pytest.mark.parametrize(
    "array",
    [
        *[
            pa.array([1, 0, 3], kind)
            for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint32(), pa.uint64())
        ],
        *[pa.array([1.0, 0.0, 3.0], kind) for kind in (pa.float32(), pa.float64())],
        pa.array(np.array([1, 0, 3], np.float16)),
        *[pa.array(["1", "0", "3"], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())],
        pa.array(["1", "0", "3"]).dictionary_encode(),
        pa.array([[1], [0], [3]]),
        pa.array([[1], [0], [3]], pa.list_(pa.int32(), 1)),
        pa.array([["1"], ["0"], ["3"]], pa.large_list(pa.large_string())),
        pa.chunked_array([[1], [0, 3]]),
        pa.array([9, 9, 1, 0, 3, 9]).slice(2, 3),
        pa.array(["9", "9", "1", "0", "3", "9"]).slice(2, 3),
        pa.array([[9], [1], [0], [3], [9]]).slice(1, 3),
        pa.array([[9], [1], [0], [3], [9]], pa.list_(pa.int64(), 1)).slice(1, 3),
    ],
    ids=lambda array: str(array.type),
)
def test_columns_of_any_type_have_same_ids(array: pa.Array) -> None:
    column, bad = encode(id_feature("num_buckets: 4"), array)
    assert column.values.tolist() == [1, 0, 3]
    assert column.lengths is None
    assert not bad
    hashed, _ = encode(id_feature(HASH), array)
    assert hashed.values.tolist() == [95, 26, 13]
    listed, _ = encode(id_feature('vocab_list: ["3", "1"]'), array)
    assert listed.values.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([None, 2, None]), [[], [2], []]),
        (pa.nulls(2), [[], []]),
        (pa.array([True, False, None]), [[1], [0], []]),
        (pa.array([[1, 2], [], None, [None, 3]]), [[1, 2], [], [], [3]]),
        (pa.array([["1", "", None, "2"], [""], None]), [[1, 2], [], []]),
        (pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)), [[1, 2], [], [3]]),
        (pa.array([[9], [1, 2], None, [3]]).slice(1), [[1, 2], [], [3]]),
        (pa.array([[None], []], pa.list_(pa.null())), [[], []]),
        (pa.array(["1", None, ""]).dictionary_encode(), [[1], [], []]),
        (pa.array([], pa.string()), []),
        (pa.array([], pa.int64()), []),
        (pa.array([None, None], pa.string()), [[], []]),
    ],
    ids=str,
)
def test_missing_and_repeated_values_are_encoded(array: pa.Array, expected: list[list[int]]) -> None:
    column, bad = encode(id_feature("num_buckets: 4"), array)
    assert ids_by_row(column) == expected
    assert not bad
    filled, _ = encode(id_feature('num_buckets: 8 default_value: "7"'), array)
    assert ids_by_row(filled) == [row or [7] for row in expected]


def test_value_dim_keeps_first_values() -> None:
    column, _ = encode(id_feature("num_buckets: 9 value_dim: 1"), [[5, 6], [7], [], [None, 8]])
    assert ids_by_row(column) == [[5], [7], [], [8]]
    column, _ = encode(id_feature("num_buckets: 9 value_dim: 2"), ["5\x1d6\x1d7", "8"])
    assert ids_by_row(column) == [[5, 6], [8]]


@pytest.mark.parametrize(
    ("values", "reason", "bad_rows", "bad_values"),
    [
        ([0, 4, 3, -1], "out of range [0, 4)", [1, 3], [4, -1]),
        (["0", "4", "3", "-1"], "out of range [0, 4)", [1, 3], ["4", "-1"]),
        (["0", "x", "3", "1.5"], "not an integer", [1, 3], ["x", "1.5"]),
        ([0.0, 0.5, 3.0, float("nan")], "not an integer", [1, 3], [0.5, None]),
        ([0.0, float("inf"), 3.0, 1e300], "not an integer", [1, 3], [float("inf"), 1e300]),
        (pa.array([0, 2**64 - 1, 3, 2**63], pa.uint64()), "not an integer", [1, 3], [2**64 - 1, 2**63]),
        (pa.array([0, 4, 3, 2**40]), "out of range [0, 4)", [1, 3], [4, 2**40]),
    ],
)
def test_bad_values_are_reported(values: Any, reason: str, bad_rows: list[int], bad_values: list[Any]) -> None:
    column, bad = encode(id_feature('num_buckets: 4 default_value: "1"'), values)
    assert ids_by_row(column) == [[0], [1], [3], [1]]
    assert column.lengths is None
    [(column, reported_reason, reported_rows, reported_values)] = reports(bad)
    assert (column, reported_reason, reported_rows) == ("c", reason, bad_rows)
    assert [None if value != value else value for value in reported_values] == bad_values
    assert bad.mask.tolist() == [i in bad_rows for i in range(4)]
    emptied, _ = encode(id_feature("num_buckets: 4"), values)
    assert ids_by_row(emptied) == [[0], [], [3], []]


def test_bad_value_among_good_ones_is_left_out() -> None:
    column, bad = encode(id_feature('num_buckets: 4 default_value: "0"'), ["1\x1dx\x1d9\x1d2", "x\x1dy", "3"])
    assert ids_by_row(column) == [[1, 2], [0], [3]]
    assert reports(bad) == [
        ("c", "not an integer", [0, 1], ["1\x1dx\x1d9\x1d2", "x\x1dy"]),
        ("c", "out of range [0, 4)", [0], ["1\x1dx\x1d9\x1d2"]),
    ]


def test_invalid_utf8_is_reported() -> None:
    array = pa.array([b"1", b"\xff"]).view(pa.string())
    column, bad = encode(id_feature("num_buckets: 4"), array)
    assert ids_by_row(column) == [[1], []]
    assert reports(bad) == [("c", "not an integer", [1], ["text that is not UTF-8"])]


@pytest.mark.parametrize(
    "values",
    [
        ["x:0.5\x1dy:2", "", "x", None],
        [["x:0.5", "y:2"], [], ["x", ""], None],
        pa.array([{"x": 0.5, "y": 2}, {}, {"x": None, "": 3}, None], pa.map_(pa.string(), pa.float32())),
        pa.array([{"x": "0.5", "y": "2"}, {}, {"x": "1"}, None], pa.map_(pa.string(), pa.string())),
    ],
)
def test_weighted_ids_keep_weights(values: Any) -> None:
    for default, fill, fill_weights in [("", [], []), ("z:3", [54], [3.0]), ("z", [54], [1.0])]:
        column, bad = encode(id_feature(f'{HASH} weighted: true default_value: "{default}"'), values)
        assert ids_by_row(column) == [[35, 30], fill, [35], fill]
        assert column.weights is not None
        assert column.weights.tolist() == [0.5, 2, *fill_weights, 1, *fill_weights]
        assert column.weights.dtype == np.float32
        assert not bad


def test_ids_without_weight_weigh_one() -> None:
    column, _ = encode(id_feature("num_buckets: 9 weighted: true"), [5, None, 6])
    assert (ids_by_row(column), column.weights.tolist()) == ([[5], [], [6]], [1, 1])
    array = pa.array([{1: 2.0}, {9: 1.0}, {3: 4.0, 4: 5.0}, {}, None], pa.map_(pa.int64(), pa.float64())).slice(1)
    column, bad = encode(id_feature("num_buckets: 9 weighted: true"), array)
    assert (ids_by_row(column), column.weights.tolist()) == ([[], [3, 4], [], []], [4, 5])
    assert reports(bad)[0][:3] == ("c", "out of range [0, 9)", [0])
    column, _ = encode(id_feature("num_buckets: 9 weighted: true value_dim: 1"), array)
    assert (ids_by_row(column), column.weights.tolist()) == ([[], [3], [], []], [4])


def test_bad_weights_are_reported() -> None:
    column, bad = encode(id_feature("num_buckets: 9 weighted: true"), ["1:x\x1d2:3", "4:", "5:nan", "1:2:3"])
    assert (ids_by_row(column), column.weights.tolist()) == ([[2], [], [], []], [3])
    assert [(reason, bad_rows) for _, reason, bad_rows, _ in reports(bad)] == [
        ("not an integer", [3]),
        ("weight is not a finite number", [0, 1, 2]),
    ]


def test_fg_value_type_hashes_text_as_integers() -> None:
    column, bad = encode(id_feature('hash_bucket_size: 100 fg_value_type: "int64"'), ["007", "1", "x"])
    assert ids_by_row(column) == [[encode(id_feature(HASH), ["7"])[0].values[0]], [95], []]
    assert reports(bad) == [("c", "not an integer", [2], ["x"])]
    column, _ = encode(id_feature('vocab_list: ["7"] fg_value_type: "int32" default_value: "07"'), ["007", "8", ""])
    assert ids_by_row(column) == [[2], [1], [2]]


def test_separator_splits_text() -> None:
    column, _ = encode(id_feature(f'{HASH} separator: "||"'), ["abc||efg||", "||", "hij"])
    assert ids_by_row(column) == [[33, 44], [], [66]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1\x032", "", None, "3"], [[1, 2], [], [], [3]]),
        ([[1, 2], [], None, [3]], [[1, 2], [], [], [3]]),
        ([1, None, 2], [[1], [], [2]]),
    ],
)
def test_encoded_ids_are_read(values: Any, expected: list[list[int]]) -> None:
    for setting, fill in [
        ("", []),
        ('fg_encoded_default_value: ""', []),
        ('fg_encoded_default_value: "4\x035"', [4, 5]),
    ]:
        text = f'hash_bucket_size: 9 default_value: "z" {setting}'  # default_value is for raw data
        column, bad = encode(id_feature(text), values, "FG_NONE")
        assert ids_by_row(column) == [row or fill for row in expected]
        assert not bad


def test_encoded_weights_are_read() -> None:
    text = id_feature('num_buckets: 9 weighted: true fg_encoded_default_value: "7:0.5"')
    for values in (["1:2\x033", None], pa.array([{1: 2.0, 3: 1.0}, None], pa.map_(pa.int64(), pa.float32()))):
        column, _ = encode(text, values, "FG_NONE")
        assert (ids_by_row(column), column.weights.tolist()) == ([[1, 3], [7]], [2, 1, 0.5])


def test_encoded_ids_are_checked_against_table() -> None:
    column, bad = encode(id_feature('vocab_list: ["a"]'), [2, 3], "FG_NONE")
    assert ids_by_row(column) == [[2], []]
    assert reports(bad) == [("f", "out of range [0, 3)", [1], [3])]


@pytest.mark.parametrize(
    ("array", "weighted"),
    [
        (pa.array([1], pa.timestamp("us")), False),
        (pa.array([b"x"]), False),
        (pa.array([[[1]]]), False),
        (pa.array([{"a": 1}]), False),
        (pa.array([{"a": 1.0}], pa.map_(pa.string(), pa.float64())), False),
        (pa.array([{"a": [1.0]}], pa.map_(pa.string(), pa.list_(pa.float64()))), True),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_unsupported_column_type_is_rejected(array: pa.Array, weighted: bool) -> None:
    with pytest.raises(DataError) as error:
        encode(id_feature(f"{HASH} weighted: {weighted}"), array)
    assert f'column "c" has type {array.type}' in str(error.value)
    assert "accepts integers, floats, decimals, bool, strings, or lists of these" in str(error.value)
    assert ("or maps from id to weight" in str(error.value)) == weighted


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("", "", "needs exactly one of hash_bucket_size, num_buckets, vocab_list, vocab_dict, vocab_file; none is set"),
        ("num_buckets: 3 hash_bucket_size: 4", "", "hash_bucket_size and num_buckets are set"),
        ("zch { zch_size: 4 }", ".zch", "not implemented yet"),
        ('vocab_file: "x"', ".vocab_file", "needs default_bucketize_value"),
        (
            'vocab_file: "x" asset_dir: "y" default_bucketize_value: 0',
            ".vocab_file",
            "y/x cannot be read: No such file",
        ),
        ("num_buckets: 0", ".num_buckets", "0 rows"),
        ('num_buckets: 3 default_value: "3"', ".default_value", "'3' is out of range [0, 3)"),
        ('num_buckets: 3 default_value: "x"', ".default_value", "'x' is not an integer"),
        ('num_buckets: 3 weighted: true default_value: "1:y"', ".default_value", "'1:y' is not a number"),
        ('vocab_list: ["a"] default_bucketize_value: 1', ".default_bucketize_value", "1 is outside"),
        ('vocab_dict: [{key: "a" value: 1}]', ".vocab_dict", '"a" has index 1'),
        ('hash_bucket_size: 3 fg_value_type: "float"', ".fg_value_type", '"float" is not one of'),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(id_feature(text))
    assert problem.field == f"feature_configs[0].id_feature{field}"
    assert message in problem.message


def test_encoded_default_outside_table_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"fg_encoded_default_value: '9' is out of range \[0, 9\)"):
        encoder(id_feature('num_buckets: 9 fg_encoded_default_value: "9"'), mode="FG_NONE")
