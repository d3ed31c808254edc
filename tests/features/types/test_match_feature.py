from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference.hashes import bucket
from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import FeatureInput
from tzrec.features.column import Column

NESTED = "ca^ba:1,bb:2|cb^ba:3,bb:4"


def match(text: str = "", pkey: str = "user:p", skey: str = "item:s", name: str = "match_feat") -> str:
    keys = f'nested_map: "user:m" pkey: "{pkey}" skey: "{skey}"'
    return f'match_feature {{ feature_name: "{name}" {keys} embedding_dim: 4 {text} }}'


def encode(feature: str, maps: Any, mode: str = "FG_DAG", **keys: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, {"m": maps, **keys}, mode)


MAPS = [
    pa.array([NESTED] * 4 + ["", None]),
    pa.array([{"ca": "ba:1,bb:2", "cb": "ba:3,bb:4"}] * 4 + [{}, None], pa.map_(pa.string(), pa.string())),
    pa.array(["ca^ba:1,bb:2", *[NESTED] * 4, "", None], pa.large_string()).slice(1),
]


@pytest.mark.parametrize("maps", MAPS, ids=lambda array: str(array.type))
def test_matched_numbers_are_added(maps: pa.Array) -> None:
    column, bad = encode(match(), maps, p=["ca", "cb", "cc", None, "ca", "ca"], s=["ba", "bb", "ba", "ba", "ba", "ba"])
    assert column.values.tolist() == [[1], [4], [0], [0], [0], [0]]
    assert not bad


def test_wildcard_matches_every_key() -> None:
    every = [[1, 2, 3, 4]]
    assert ids_by_row(encode(match("num_buckets: 9", pkey="ALL", skey="ALL"), [NESTED])[0]) == every
    assert ids_by_row(encode(match("num_buckets: 9"), [NESTED], p=["ALL"], s=["ALL"])[0]) == every
    assert ids_by_row(encode(match("num_buckets: 9", pkey="ALL"), [NESTED], s=["bb"])[0]) == [[2, 4]]
    assert ids_by_row(encode(match("num_buckets: 9", skey="ALL"), [NESTED], p=["cb"])[0]) == [[3, 4]]
    assert ids_by_row(encode(match('num_buckets: 9 default_value: ""', skey="ALL"), [NESTED], p=["cc"])[0]) == [[]]
    assert encode(match(pkey="ALL"), [NESTED], s=["bb"])[0].values.tolist() == [[6]]  # several numbers are added
    assert ids_by_row(encode(match("boundaries: [5]", pkey="ALL"), [NESTED], s=["bb"])[0]) == [[1]]
    one_level = "ALL^a:40,b:20"
    assert encode(match(pkey="ALL"), [one_level], s=["b"])[0].values.tolist() == [[20]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hash_bucket_size: 100", [71, 26]),  # match_feat_1; the default 0 without a prefix
        ('hash_bucket_size: 100 default_value: "z"', [71, 54]),
        ("num_buckets: 9", [1, 0]),
        ('vocab_list: ["1"] default_value: "y"', [2, 0]),
        ("hash_bucket_size: 997 show_pkey: true", [bucket("match_feat_ca_1", 997), bucket("0", 997)]),
        ("hash_bucket_size: 997 show_skey: true", [bucket("match_feat_ba_1", 997), bucket("0", 997)]),
        (
            "hash_bucket_size: 997 show_pkey: true show_skey: true",
            [bucket("match_feat_ca_ba_1", 997), bucket("0", 997)],
        ),
        ('vocab_list: ["ca_ba_1"] show_pkey: true show_skey: true', [2, 0]),
        ("boundaries: [1, 2]", [1, 0]),
        ('boundaries: [1, 2] normalizer: "method=expression,expr=x+1"', [2, 0]),
    ],
)
def test_matched_values_become_ids(text: str, expected: list[int]) -> None:
    column, bad = encode(match(text), [NESTED] * 2, p=["ca", "cx"], s=["ba", "ba"])
    assert ids_by_row(column) == [[value] for value in expected]
    assert not bad


def test_several_keys_of_any_type_are_matched() -> None:
    column, _ = encode(match("num_buckets: 9"), [NESTED], p=["cb\x1dca"], s=["bb\x1dba"])
    assert ids_by_row(column) == [[4, 3, 2, 1]]
    column, _ = encode(match(), ["7^8:1.5"], p=[7], s=[[8]])
    assert column.values.tolist() == [[1.5]]


def test_bad_maps_are_reported() -> None:
    maps = ["ca^ba:1,bb|x", "ca^ba:y", "ca^", "模^é:5"]
    column, bad = encode(match('default_value: "-1"'), maps, p=["ca", "ca", "ca", "模"], s=["ba", "ba", "ba", "é"])
    assert column.values.tolist() == [[1], [-1], [-1], [5]]
    assert [report[:3] for report in reports(bad)] == [
        ("m", "not key^value", [0, 2]),
        ("m", "not key:value", [0]),
        ("m", "not a number", [1]),
    ]
    with pytest.raises(DataError, match="the values of its maps must be strings"):
        encode(match(), pa.array([{"a": 1}], pa.map_(pa.string(), pa.int64())), p=["a"], s=["b"])


def test_modes_read_raw_and_encoded_data() -> None:
    normal, _ = encode(match(), [NESTED], "FG_NORMAL", p=["ca"], s=["bb"])
    assert normal.values.tolist() == [[2]]
    feature = match("hash_bucket_size: 100", name="m")
    assert ids_by_row(encode(feature, ["71", None], "FG_NONE")[0]) == [[71], []]
    assert ids_by_row(encode(feature, ["match_feat_1", None], "FG_BUCKETIZE")[0]) == [[71], [26]]
    assert encode(match(name="m"), [2.5, None], "FG_BUCKETIZE")[0].values.tolist() == [[2.5], [0]]


def test_wildcard_key_is_no_input() -> None:
    assert encoder(match(skey="ALL")).features["match_feat"].inputs == (
        FeatureInput("user", "m"),
        FeatureInput("user", "p"),
    )


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("value_dim: 2", ".value_dim", "2; a match is one number"),
        ("show_skey: true boundaries: 1", ".show_skey", "values that begin with a key are text"),
        ("need_discrete: true", ".need_discrete", "values that are ids need one of"),
        ("num_buckets: 3 mlp {}", ".mlp", "applies to numbers, and the values of this feature become ids"),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(match(text))
    assert problem.field == f"feature_configs[0].match_feature{field}"
    assert message in problem.message


key = st.text(st.sampled_from("ab模"), min_size=1, max_size=2) | st.just("ALL")
value = st.integers(0, 9).map(str)
nested = st.dictionaries(key, st.dictionaries(key, value, min_size=1, max_size=3), max_size=3)


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.tuples(nested, key, key), max_size=5))
def test_match_equals_naive_loop(data: list[tuple[dict[str, dict[str, str]], str, str]]) -> None:
    maps = [
        "|".join(f"{outer}^" + ",".join(f"{k}:{v}" for k, v in inner.items()) for outer, inner in maps_by_key.items())
        for maps_by_key, _, _ in data
    ]
    feature = match('num_buckets: 10 default_value: ""')
    strings = [pa.array(column, pa.string()) for column in (maps, [p for _, p, _ in data], [s for _, _, s in data])]
    column, bad = encode(feature, strings[0], p=strings[1], s=strings[2])
    expected = [
        [
            int(v)
            for outer, inner in maps_by_key.items()
            if p in (outer, "ALL")
            for k, v in inner.items()
            if s in (k, "ALL")
        ]
        for maps_by_key, p, s in data
    ]
    assert ids_by_row(column) == expected
    assert not bad
