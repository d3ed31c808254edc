"""Encoded data is read back as the same Columns, in FG_NONE and in FG_BUCKETIZE."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.features import assert_columns_equal, encoder, id_feature, raw_feature
from tzrec.config.sequences import FeatureMember, feature_members
from tzrec.features.arrow import is_single, to_arrow
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import decode
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.unbucketized import encode_unbucketized
from tzrec.protos import feature_pb2

WORDS = st.sampled_from(["", "a", "b", "ab", "7", "x y"])
DIGITS = st.sampled_from(["", "0", "3", "19", "7"])
NUMBERS = st.one_of(st.none(), st.integers(-100, 100).map(lambda n: n / 8))


def cells(values: st.SearchStrategy[str], separator: str = "\x1d") -> st.SearchStrategy[str | None]:
    """Draw a missing value, or one to three values in a string."""
    return st.one_of(st.none(), st.lists(values, min_size=1, max_size=3).map(separator.join))


def pairs(values: st.SearchStrategy[str], separator: str, key_delimiter: str = ":") -> st.SearchStrategy[str | None]:
    pair = st.tuples(st.sampled_from("abc"), values).map(key_delimiter.join)
    return st.one_of(st.none(), st.lists(pair, max_size=3).map(separator.join))


def member(kind: str, text: str) -> str:
    return f'{kind} {{ feature_name: "f" {text} }}'


SHORT = st.sampled_from(["1", "2.5", "3"])
TEXT, MANY, INTS = cells(WORDS), cells(DIGITS), st.one_of(st.none(), st.integers(0, 19))
LISTS = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 19)), max_size=3))
MAPS = st.one_of(st.none(), st.dictionaries(st.integers(0, 19), st.sampled_from([0.5, -1.0, 2.0]), max_size=3))
WEIGHTED = pairs(st.sampled_from(["0.25", "2", "-1"]), "\x1d")
VECTORS = st.one_of(st.none(), st.lists(st.sampled_from([0.1, -2.0, 3e30]), min_size=2, max_size=2))
HASH, DENSE = "hash_bucket_size: 50", 'default_value: "0.5"'
IDS = f"{HASH} embedding_dim: 4"
CROSS = 'expression: ["user:c", "item:d"] hash_bucket_size: 50 embedding_dim: 4'
LOOKUP, MATCH = 'map: "user:c" key: "item:d"', 'nested_map: "user:c" pkey: "item:d" skey: "ALL"'
BUCKETS = "boundaries: [0, 1, 2] embedding_dim: 4"
PARTS = """operator_name: "tests.features.operators:Parts"
    operator_params { fields { key: "by" value { string_value: " " } } }"""
KEYS = cells(st.sampled_from("abc"))
NESTED = pairs(pairs(SHORT, ",").map(lambda text: text or "a:1"), "|", "^")

# feature, type of c, values of c, values of d (text)
CASES: dict[str, tuple[str, pa.DataType, Any, Any]] = {
    "id": (id_feature(HASH), pa.string(), TEXT, None),
    "id of integers": (id_feature("num_buckets: 20"), pa.int64(), INTS, None),
    "id of lists": (id_feature("num_buckets: 20"), pa.list_(pa.int32()), LISTS, None),
    "single id": (id_feature("num_buckets: 20 value_dim: 1"), pa.string(), MANY, None),
    "three ids": (id_feature(f"{HASH} value_dim: 3"), pa.string(), TEXT, None),
    "default ids": (id_feature(f'{HASH} default_value: "x\\x1dy"'), pa.string(), TEXT, None),
    "vocabulary": (id_feature('vocab_list: ["a", "b"]'), pa.string(), TEXT, None),
    "weighted": (id_feature(f"{HASH} weighted: true"), pa.string(), WEIGHTED, None),
    "weighted map": (id_feature(f"{HASH} weighted: true"), pa.map_(pa.int64(), pa.float64()), MAPS, None),
    "weighted default": (
        id_feature(f'{HASH} weighted: true default_value: "a:0.5"'),
        pa.string(),
        WEIGHTED,
        None,
    ),
    "raw": (raw_feature(DENSE), pa.float64(), NUMBERS, None),
    "raw of text": (raw_feature('normalizer: "method=log10"'), pa.string(), cells(SHORT, ""), None),
    "raw vector": (raw_feature("value_dim: 2"), pa.list_(pa.float32()), VECTORS, None),
    "raw boundaries": (raw_feature(BUCKETS), pa.float32(), NUMBERS, None),
    "raw boundaries, scaled": (raw_feature(f'{BUCKETS} normalizer: "method=log10"'), pa.float64(), NUMBERS, None),
    "raw boundaries of vectors": (raw_feature(f"{BUCKETS} value_dim: 2"), pa.list_(pa.float32()), VECTORS, None),
    "raw boundaries, any": (raw_feature(f'{BUCKETS} value_dim: 0 default_value: ""'), pa.string(), cells(SHORT), None),
    "combo": (member("combo_feature", CROSS), pa.string(), TEXT, TEXT),
    "combine": (member("combine_feature", 'expression: "user:c"'), pa.string(), cells(SHORT), None),
    "combine buckets": (
        member("combine_feature", 'expression: "user:c" combiner: "count" num_buckets: 9 embedding_dim: 4'),
        pa.string(),
        cells(SHORT),
        None,
    ),
    "lookup": (member("lookup_feature", LOOKUP), pa.string(), pairs(SHORT, "\x1d"), KEYS),
    "lookup ids": (
        member("lookup_feature", f"{LOOKUP} {HASH} embedding_dim: 4"),
        pa.string(),
        pairs(SHORT, "\x1d"),
        KEYS,
    ),
    "lookup boundaries": (member("lookup_feature", f"{LOOKUP} {BUCKETS}"), pa.string(), pairs(SHORT, "\x1d"), KEYS),
    "match": (member("match_feature", MATCH), pa.string(), NESTED, KEYS),
    "match ids": (member("match_feature", f"{MATCH} {IDS}"), pa.string(), NESTED, KEYS),
    "expr": (member("expr_feature", 'expression: "c * 3" variables: "user:c"'), pa.float64(), NUMBERS, None),
    "expr buckets": (
        member("expr_feature", f'expression: "c + 1" variables: "user:c" {BUCKETS}'),
        pa.list_(pa.float32()),
        VECTORS,
        None,
    ),
    "overlap": (
        member("overlap_feature", 'query: "user:c" title: "item:d" method: "query_common_ratio"'),
        pa.string(),
        TEXT,
        TEXT,
    ),
    "overlap buckets": (
        member("overlap_feature", f'query: "user:c" title: "item:d" method: "index_of" {BUCKETS}'),
        pa.string(),
        TEXT,
        TEXT,
    ),
    "kv_dot": (
        member("kv_dot_product", 'query: "user:c" document: "item:d"'),
        pa.string(),
        WEIGHTED,
        WEIGHTED,
    ),
    "bool_mask": (
        member("bool_mask_feature", f'{CROSS} default_value: "9"'),
        pa.string(),
        TEXT,
        cells(st.sampled_from("01")),
    ),
    "custom": (
        member("custom_feature", f'{PARTS} expression: "user:c" {IDS}'),
        pa.string(),
        TEXT,
        None,
    ),
}


def through_parquet(array: pa.Array) -> pa.Array:
    """Write an array to a Parquet file and read it back as the reader does."""
    file = io.BytesIO()
    pq.write_table(pa.table({"f": array}), file)
    file.seek(0)
    column = pq.read_table(file)["f"]
    return decode(column.combine_chunks())


def member_of(text: str) -> FeatureMember:
    """Return the entry of the feature "f"."""
    return next(iter(feature_members(text_format.Parse(text, feature_pb2.FeatureConfig()))))


@cache
def encoders(text: str) -> dict[str, FeatureEncoder]:
    """Build the encoders of raw and of encoded data."""
    return {mode: encoder(text, mode=mode) for mode in ("FG_DAG", "FG_NONE", "FG_BUCKETIZE")}


def check_round_trip(text: str, columns: dict[str, pa.Array]) -> None:
    encoder_by_mode, member = encoders(text), member_of(text)
    raw = pa.table(columns)
    expected = encoder_by_mode["FG_DAG"].encode(raw)[0]["f"]
    arrays = {
        "FG_NONE": to_arrow(expected, is_single(member)),
        "FG_BUCKETIZE": encode_unbucketized(encoder_by_mode["FG_DAG"], {"f": member}, raw)[0]["f"],
    }
    for mode, array in arrays.items():
        outputs, bad = encoder_by_mode[mode].encode(pa.table({"f": through_parquet(array)}))
        assert isinstance(bad, BadRows)
        assert not bad
        assert_columns_equal(outputs["f"], expected)


def draw_columns(data: st.DataObject, kind: pa.DataType, c_values: Any, d_values: Any) -> dict[str, pa.Array]:
    """Draw up to six rows of the columns c and, if the feature reads it, d."""
    count = data.draw(st.integers(0, 6), "rows")
    strategies = {"c": (kind, c_values)} | ({"d": (pa.string(), d_values)} if d_values is not None else {})
    return {
        column: pa.array(data.draw(st.lists(strategy, min_size=count, max_size=count), column), column_type)
        for column, (column_type, strategy) in strategies.items()
    }


def encoded(text: str, values: pa.Array) -> pa.Array:
    """Encode a column and convert it to Arrow."""
    return to_arrow(encoder(text).encode(pa.table({"c": values}))[0]["f"], is_single(member_of(text)))


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_encoded_data_is_read_back_unchanged(name: str, data: st.DataObject) -> None:
    text, kind, values, d_values = CASES[name]
    check_round_trip(text, draw_columns(data, kind, values, d_values))


def sequences(values: Any) -> Any:
    """Draw a missing sequence, or up to four elements in a string."""
    return st.one_of(st.none(), st.lists(values.map(lambda cell: cell or ""), max_size=4).map(";".join))


def as_sequence(text: str) -> str:
    """Make a feature a sequence of at most three elements, whose inputs are all sequences."""
    return f'sequence_{text[:-1]} sequence_fields: ["c", "d"] sequence_delim: ";" sequence_length: 3 }}'


@pytest.mark.parametrize("name", [name for name in CASES if "weighted" not in name])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_encoded_sequences_are_read_back_unchanged(name: str, data: st.DataObject) -> None:
    text, kind, values, d_values = CASES[name]
    if pa.types.is_string(kind):
        c_strategy = kind, sequences(values)
    else:  # a list holds the elements
        c_strategy = pa.list_(kind), st.one_of(st.none(), st.lists(values, max_size=4))
    check_round_trip(
        as_sequence(text), draw_columns(data, *c_strategy, None if d_values is None else sequences(d_values))
    )


@pytest.mark.parametrize("name", [*CASES])
def test_missing_values_are_read_back_unchanged(name: str) -> None:
    text, kind, _, d_values = CASES[name]
    check_round_trip(text, {"c": pa.nulls(3, kind)} | ({"d": pa.nulls(3, pa.string())} if d_values is not None else {}))


COLUMNS = [
    pa.array(["7", None, "", "19"], pa.large_string()),
    pa.array(["7", None, "7", "b"]).dictionary_encode(),
    pa.array([True, None, False]),
    pa.array([1, None, 0], pa.int8()),
    pa.array([2**63 + 1, None, 3], pa.uint64()),
    pa.array([1.0, None, 3.0], pa.float32()),
    pa.array([["7", None, ""], None, [], ["a", "b"]]),
    pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
    pa.array([["x"], None, ["x", "y"]], pa.large_list(pa.large_string())),
    pa.array(["a", "7", None, "b"]).slice(1, 2),
    pa.nulls(3),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
def test_columns_of_any_type_are_read_back_unchanged(column: pa.Array) -> None:
    check_round_trip(id_feature(HASH), {"c": column})
    check_round_trip(id_feature(f"{HASH} value_dim: 1"), {"c": column})
    if column.type == pa.nulls(0).type or not pa.types.is_nested(column.type):
        check_round_trip(
            as_sequence(id_feature(HASH)), {"c": pa.array([column.to_pylist(), None], pa.list_(column.type))}
        )


@pytest.mark.parametrize("keys", [pa.string(), pa.int64(), pa.int32()])
@pytest.mark.parametrize("items", [pa.float32(), pa.float64(), pa.int64(), pa.string()])
def test_maps_of_any_type_are_read_back_unchanged(keys: pa.DataType, items: pa.DataType) -> None:
    pairs = pa.array([[(1, 2), (3, 4)], None, [], [(1, 5)]], pa.map_(pa.int64(), pa.int64()))
    offsets = pairs.offsets
    column = pa.MapArray.from_arrays(offsets, pairs.keys.cast(keys), pairs.items.cast(items))
    check_round_trip(id_feature(f"{HASH} weighted: true"), {"c": column})


def test_arrow_type_follows_value_dim() -> None:
    """value_dim: 1 makes ids numbers, anything else lists; a missing value is null or empty."""
    values = pa.array(["1", None, "2\x1d3"])
    for text, kind, rows in (
        ("num_buckets: 9", pa.list_(pa.int64()), [[1], [], [2, 3]]),
        ("num_buckets: 9 value_dim: 1", pa.int64(), [1, None, 2]),
        ("num_buckets: 9 weighted: true", pa.map_(pa.int64(), pa.float32()), None),
    ):
        array = encoded(id_feature(text), values)
        assert array.type == kind
        assert array.to_pylist() == (rows or [[(1, 1.0)], [], [(2, 1.0), (3, 1.0)]])


def test_vectors_have_fixed_width() -> None:
    array = encoded(raw_feature("value_dim: 2"), pa.array([[1.5, 2.0], None]))
    assert array.type == pa.list_(pa.float32(), 2)
    assert array.to_pylist() == [[1.5, 2.0], [0.0, 0.0]]


def test_arrow_type_of_sequence_is_list() -> None:
    """An element is an id, a list of ids, a number or a list of numbers."""
    values = pa.array(["1;2", None, "3"])
    for text, kind, rows in (
        (id_feature("num_buckets: 9"), pa.list_(pa.int64()), [[1, 2], [0], [3]]),
        (id_feature("num_buckets: 9 value_dim: 0"), pa.list_(pa.list_(pa.int64())), [[[1], [2]], [[0]], [[3]]]),
        (raw_feature(""), pa.list_(pa.float32()), [[1, 2], [0], [3]]),
    ):
        array = encoded(as_sequence(text), values)
        assert array.type == kind
        assert array.to_pylist() == rows


def test_unbucketized_values_are_those_hashed_or_compared() -> None:
    """Values are written as they are hashed or compared; missing ones are left to the default of the reader."""
    for text, values, expected in (
        (id_feature('hash_bucket_size: 9 default_value: "x"'), ["a\x1db", None], [["a", "b"], []]),
        (id_feature("num_buckets: 9 value_dim: 1"), [3, 99], [3, None]),  # 99 is bad
        (id_feature("hash_bucket_size: 9 weighted: true"), ["a:0.5", ""], [[("a", 0.5)], []]),
        (raw_feature(f'{BUCKETS} normalizer: "method=log10"'), [100.0, None], [2.0, None]),
        (raw_feature('normalizer: "method=log10" default_value: "7"'), [100.0, None], [2.0, 7.0]),
    ):
        raw = pa.table({"c": pa.array(values)})
        array = encode_unbucketized(encoder(text), {"f": member_of(text)}, raw)[0]["f"]
        assert array.to_pylist() == expected


def test_vectors_in_sequences_are_lists() -> None:
    pairs = pa.array([[[1.0, 2.0], [3.0, 4.0]], None])
    array = encoded(as_sequence(raw_feature('value_dim: 2 default_value: "0"')), pairs)
    assert array.type == pa.list_(pa.list_(pa.float32()))
    assert array.to_pylist() == [[[1, 2], [3, 4]], [[0, 0]]]
