from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.features.make import encoder, reports, rows
from tests.features.reference.hashes import bucket
from tzrec.errors import ConfigError, DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import FeatureInput, Table
from tzrec.features.column import Column


def combo(text: str, inputs: str = '["user:u", "item:i"]') -> str:
    return f'combo_feature {{ feature_name: "f" expression: {inputs} embedding_dim: 4 {text} }}'


def encode(feature: str, mode: str = "FG_DAG", **columns: Any) -> tuple[Column, BadRows]:
    table = pa.table(
        {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    )
    encoded, bad = encoder(feature, mode=mode).encode(table)
    return encoded["f"], bad


HASH = "hash_bucket_size: 100"
USERS = ["ua\x1dub", "uc\x1dud", "", "ug", "uh"]
ITEMS = ["ia\x1dib", "ic", "ib", "id\x1die", "if"]
EXPECTED = [[37, 90, 5, 97], [60, 56], [], [40, 57], [55]]


def test_ids_that_the_public_tests_assert() -> None:
    column, bad = encode(combo(HASH), u=USERS, i=ITEMS)
    assert rows(column) == EXPECTED
    assert not bad
    column, _ = encode(
        combo(HASH), u=pa.array([row.split("\x1d") for row in USERS]), i=pa.array(ITEMS).dictionary_encode()
    )
    assert rows(column) == EXPECTED


def test_a_missing_input_gives_the_default() -> None:
    column, bad = encode(combo(HASH + ' default_value: "xyz"'), u=["ua", None, "ua", ""], i=[None, "ia", "ia", ""])
    assert rows(column) == [[13], [13], [37], [13]]
    assert not bad


def test_numbers_are_crossed_in_decimal() -> None:
    column, bad = encode(combo("hash_bucket_size: 1000"), u=[1, -2, None], i=[3.0, 4.0, 5.0])
    assert rows(column) == [[bucket("1_3", 1000)], [bucket("-2_4", 1000)], []]
    assert not bad


def test_numbers_that_are_not_whole_are_bad() -> None:
    column, bad = encode(combo(HASH), u=["a", "b"], i=[0.5, 4.0])
    assert rows(column) == [[], [bucket("b_4", 100)]]
    assert reports(bad) == [("i", "not an integer", [0], [0.5])]


def test_three_inputs_and_unicode() -> None:
    three = combo("hash_bucket_size: 997", '["user:u", "item:i", "context:c"]')
    column, _ = encode(three, u=["a\x1dé"], i=["模"], c=["x\x1dy"])
    assert rows(column) == [[bucket(word, 997) for word in ("a_模_x", "a_模_y", "é_模_x", "é_模_y")]]


def test_vocabulary_value_dim_and_separator() -> None:
    column, _ = encode(
        combo('vocab_list: ["a_x", "b_x"] separator: "|" value_dim: 2'), u=["a|b|c", "c"], i=["x", "x|y|z"]
    )
    assert rows(column) == [[2, 3], [1, 1]]


def test_one_of_the_inputs_is_another_feature_or_a_constant() -> None:
    price = 'raw_feature { feature_name: "p" expression: "item:price" boundaries: [1, 2] embedding_dim: 4 }'
    built = encoder(price, combo("hash_bucket_size: 100", '["feature:p", "const:k"]'))
    assert built.columns == ("price",)
    columns, _ = built.encode(pa.table({"price": [0.5, 3.0]}))
    assert rows(columns["f"]) == [[bucket("0_k", 100)], [bucket("2_k", 100)]]


@pytest.mark.parametrize("mode", ["FG_NORMAL", "FG_DAG"])
def test_modes_that_read_raw_inputs(mode: str) -> None:
    column, _ = encode(combo(HASH), mode, u=USERS, i=ITEMS)
    assert rows(column) == EXPECTED


def test_encoded_and_half_encoded_data() -> None:
    column, _ = encode(combo(HASH), "FG_NONE", f=["37\x0390", "", "5"])
    assert rows(column) == [[37, 90], [], [5]]
    text = combo(HASH + ' default_value: "xyz" value_dim: 1')
    column, _ = encode(text, "FG_BUCKETIZE", f=["ua_ia\x1dua_ib", "", None])
    assert rows(column) == [[37], [13], [13]]


def test_what_it_says_of_itself() -> None:
    feature = encoder(combo(HASH)).features["f"]
    assert feature.table == Table("f_emb", 100, 4)
    assert feature.inputs == (FeatureInput("user", "u"), FeatureInput("item", "i"))
    assert (feature.is_sparse, feature.output_dim) == (True, 4)


def test_no_rows() -> None:
    column, _ = encode(combo(HASH), u=pa.array([], pa.string()), i=pa.array([], pa.int64()))
    assert (len(column.values), np.asarray(column.values).dtype) == (0, np.int64)


def test_a_column_that_is_no_text() -> None:
    with pytest.raises(DataError, match='column "i" has type struct'):
        encode(combo(HASH), u=["a"], i=[{"a": 1}])


@pytest.mark.parametrize(
    ("text", "inputs", "field", "message"),
    [
        (HASH, '["user:u"]', ".expression", "1 inputs; a cross needs 2 or more"),
        ("", '["user:u", "item:i"]', "", "needs exactly one of hash_bucket_size, vocab_list, vocab_dict, vocab_file"),
        (HASH, '["user:u", "const:u"]', ".expression", "user:u and const:u have one name"),
        (HASH, '["user:u", "i"]', ".expression", '"i" is not side:name'),
    ],
)
def test_what_is_refused(text: str, inputs: str, field: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        encoder(combo(text, inputs))
    [problem] = error.value.problems
    assert problem.field == f"feature_configs[0].combo_feature{field}"
    assert message in problem.message
