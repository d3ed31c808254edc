from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.features.reference.hashes import bucket
from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import FeatureInput, Table
from tzrec.features.column import Column


def combo(text: str, inputs: str = '["user:u", "item:i"]') -> str:
    return f'combo_feature {{ feature_name: "f" expression: {inputs} embedding_dim: 4 {text} }}'


def encode(feature: str, mode: str = "FG_DAG", **columns: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, columns, mode)


HASH = "hash_bucket_size: 100"
USERS = ["ua\x1dub", "uc\x1dud", "", "ug", "uh"]
ITEMS = ["ia\x1dib", "ic", "ib", "id\x1die", "if"]
EXPECTED = [[37, 90, 5, 97], [60, 56], [], [40, 57], [55]]


def test_ids_equal_those_of_torcheasyrec() -> None:
    column, bad = encode(combo(HASH), u=USERS, i=ITEMS)
    assert ids_by_row(column) == EXPECTED
    assert not bad
    column, _ = encode(
        combo(HASH), u=pa.array([row.split("\x1d") for row in USERS]), i=pa.array(ITEMS).dictionary_encode()
    )
    assert ids_by_row(column) == EXPECTED


def test_missing_input_takes_default() -> None:
    column, bad = encode(combo(HASH + ' default_value: "xyz"'), u=["ua", None, "ua", ""], i=[None, "ia", "ia", ""])
    assert ids_by_row(column) == [[13], [13], [37], [13]]
    assert not bad


def test_numbers_are_crossed_in_decimal() -> None:
    column, bad = encode(combo("hash_bucket_size: 1000"), u=[1, -2, None], i=[3.0, 4.0, 5.0])
    assert ids_by_row(column) == [[bucket("1_3", 1000)], [bucket("-2_4", 1000)], []]
    assert not bad


def test_fractional_numbers_are_bad() -> None:
    column, bad = encode(combo(HASH), u=["a", "b"], i=[0.5, 4.0])
    assert ids_by_row(column) == [[], [bucket("b_4", 100)]]
    assert reports(bad) == [("i", "not an integer", [0], [0.5])]


def test_three_unicode_inputs_are_crossed() -> None:
    three = combo("hash_bucket_size: 997", '["user:u", "item:i", "context:c"]')
    column, _ = encode(three, u=["a\x1dé"], i=["模"], c=["x\x1dy"])
    assert ids_by_row(column) == [[bucket(word, 997) for word in ("a_模_x", "a_模_y", "é_模_x", "é_模_y")]]


def test_vocabulary_value_dim_and_separator_apply() -> None:
    column, _ = encode(
        combo('vocab_list: ["a_x", "b_x"] separator: "|" value_dim: 2'), u=["a|b|c", "c"], i=["x", "x|y|z"]
    )
    assert ids_by_row(column) == [[2, 3], [1, 1]]


def test_inputs_may_be_feature_or_constant() -> None:
    price = 'raw_feature { feature_name: "p" expression: "item:price" boundaries: [1, 2] embedding_dim: 4 }'
    built = encoder(price, combo("hash_bucket_size: 100", '["feature:p", "const:k"]'))
    assert built.columns == ("price",)
    columns, _ = built.encode(pa.table({"price": [0.5, 3.0]}))
    assert ids_by_row(columns["f"]) == [[bucket("0_k", 100)], [bucket("2_k", 100)]]


@pytest.mark.parametrize("mode", ["FG_NORMAL", "FG_DAG"])
def test_raw_modes_read_inputs(mode: str) -> None:
    column, _ = encode(combo(HASH), mode, u=USERS, i=ITEMS)
    assert ids_by_row(column) == EXPECTED


def test_encoded_and_bucketize_data_are_read() -> None:
    column, _ = encode(combo(HASH), "FG_NONE", f=["37\x0390", "", "5"])
    assert ids_by_row(column) == [[37, 90], [], [5]]
    text = combo(HASH + ' default_value: "xyz" value_dim: 1')
    column, _ = encode(text, "FG_BUCKETIZE", f=["ua_ia\x1dua_ib", "", None])
    assert ids_by_row(column) == [[37], [13], [13]]


def test_attributes_of_combo_feature() -> None:
    feature = encoder(combo(HASH)).features["f"]
    assert feature.table == Table("f_emb", 100, 4)
    assert feature.inputs == (FeatureInput("user", "u"), FeatureInput("item", "i"))
    assert (feature.is_sparse, feature.output_dim) == (True, 4)


def test_empty_batch_has_no_ids() -> None:
    column, _ = encode(combo(HASH), u=pa.array([], pa.string()), i=pa.array([], pa.int64()))
    assert (len(column.values), np.asarray(column.values).dtype) == (0, np.int64)


def test_column_of_structs_is_rejected() -> None:
    with pytest.raises(DataError, match='column "i" has type struct'):
        encode(combo(HASH), u=["a"], i=[{"a": 1}])


@pytest.mark.parametrize(
    ("text", "inputs", "field", "message"),
    [
        (HASH, '["user:u"]', ".expression", "1 inputs; a cross needs 2 or more"),
        ("", '["user:u", "item:i"]', "", "needs exactly one of hash_bucket_size, vocab_list, vocab_dict, vocab_file"),
        (HASH, '["user:u", "const:u"]', ".expression", "user:u and const:u have the same name"),
        (HASH, '["user:u", "i"]', ".expression", '"i" is not side:name'),
    ],
)
def test_invalid_config_is_rejected(text: str, inputs: str, field: str, message: str) -> None:
    problem = config_problem(combo(text, inputs))
    assert problem.field == f"feature_configs[0].combo_feature{field}"
    assert message in problem.message
