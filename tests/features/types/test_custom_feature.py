from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.errors import ConfigError, DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Table
from tzrec.features.column import Column

OPERATORS = "tests.features.operators"


def custom(name: str, text: str = "", inputs: str = '"user:a", "item:b"') -> str:
    name = name if ":" in name else f"{OPERATORS}:{name}"
    return f'custom_feature {{ feature_name: "f" operator_name: "{name}" expression: [{inputs}] {text} }}'


def encode(feature: str, mode: str = "FG_DAG", **columns: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, columns, mode)


FACTOR = 'operator_params { fields { key: "factor" value { number_value: 10 } } }'


def test_operator_numbers_are_dense() -> None:
    column, bad = encode(custom("Scaled", f'{FACTOR} default_value: "7"'), a=[1.0, None, 3.0], b=[1, 2, 3])
    assert column.values.tolist() == [[20], [7], [60]]
    assert not bad
    column, _ = encode(custom("Scaled", 'normalizer: "method=minmax,min=0,max=4"'), a=[1.0], b=[1.0])
    assert column.values.tolist() == [[0.5]]
    ids, _ = encode(custom("Scaled", "boundaries: [3, 5] embedding_dim: 4"), a=[1, 2, 3], b=[1, 2, 3])
    assert ids_by_row(ids) == [[0], [1], [2]]


def test_operator_texts_become_ids() -> None:
    # string hashes: "1" is 95, "abc" is 33 modulo 100
    text = "hash_bucket_size: 100 embedding_dim: 4"
    by = 'operator_params { fields { key: "by" value { string_value: "/" } } }'
    column, bad = encode(custom("Parts", f"{text} {by}", '"user:a"'), a=["1/abc", "abc", None])
    assert ids_by_row(column) == [[95, 33], [33], [26]]  # the default "0" is 26
    assert not bad
    column, _ = encode(custom("Upper", 'vocab_list: ["ABC"] embedding_dim: 4', '"user:a"'), a=["abc", "x"])
    assert ids_by_row(column) == [[2], [1]]
    feature = encoder(custom("Upper", text, '"user:a"')).features["f"]
    assert (feature.table, feature.is_sparse) == (Table("f_emb", 100, 4), True)


def test_bad_results_are_reported_under_feature_name() -> None:
    column, bad = encode(custom("Scaled", "num_buckets: 5 embedding_dim: 4"), a=[1, 4], b=[1, 4])
    assert ids_by_row(column) == [[2], [0]]
    assert reports(bad) == [("f", "out of range [0, 5)", [1], [8])]


def test_encoded_data_needs_no_operator() -> None:
    column, _ = encode(custom("no.such:Class"), "FG_NONE", f=[1.5, 2])
    assert column.values.tolist() == [[1.5], [2]]


def test_calls_are_serialized_unless_operator_is_thread_safe() -> None:
    for safe, most in [("false", {1}), ("true", {2, 3, 4})]:
        built = encoder(custom("Alone", f"is_op_thread_safe: {safe}", '"user:a"'))
        batch = pa.RecordBatch.from_pydict({"a": [1.0]})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: built.encode(batch), range(8)))  # noqa: B023
        assert built.features["f"]._operator.most in most


def test_operator_is_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("upper", f"{OPERATORS}:Upper", "tzrec.features")
    monkeypatch.setattr(
        metadata, "entry_points", lambda group, **named: [entry] if named.get("name", "upper") == "upper" else []
    )
    text = (
        'custom_feature { feature_name: "f" expression: "user:a" vocab_list: ["ABC"] embedding_dim: 4 operator_name: '
    )
    assert ids_by_row(encode(text + '"upper" }', a=["abc"])[0]) == [[2]]
    with pytest.raises(
        ConfigError, match=r'"lower" is neither package.module:Class nor .* tzrec.features; use one of upper'
    ):
        encoder(text + '"lower" }')


def test_invalid_operator_result_is_rejected() -> None:
    for name, received in [("Short", "1 rows"), ("Pythonic", "a list")]:
        with pytest.raises(DataError, match=f'custom feature "f": {name} was given 2 rows and returned {received}'):
            encode(custom(name, "", '"user:a"'), a=[1.0, 2.0])


def test_failing_operator_is_an_error_with_the_types_of_its_inputs() -> None:
    message = r'custom feature "f": Scaled failed on a \(string\), b \(double\): ArrowNotImplementedError: .*add'
    with pytest.raises(DataError, match=message):
        encode(custom("Scaled", FACTOR, '"user:a", "user:b"'), a=["1"], b=[2.0])


@pytest.mark.parametrize(
    ("feature", "field", "message"),
    [
        (
            custom("Scaled", 'operator_lib_file: "x.so"'),
            "operator_lib_file",
            "shared libraries are not loaded; leave it",
        ),
        (custom("Scaled", inputs=""), "expression", "is empty"),
        (custom("Scaled", inputs='"a"'), "expression", '"a" is not side:name'),
        (custom("no.such:Class"), "operator_name", '"no.such:Class" cannot be imported'),
        (custom("Nothing"), "operator_name", "has no attribute 'Nothing'"),
        (custom("NoOperator"), "operator_name", "is not a subclass of tzrec.features.types.custom_feature.Operator"),
        (custom("os:system"), "operator_name", "is not a subclass of"),
        (custom("Scaled", "boundaries: [1] num_buckets: 3"), "boundaries", "num_buckets is set as well"),
        (custom("Scaled", "num_buckets: 3 mlp {}"), "mlp", "applies to numbers"),
    ],
)
def test_invalid_config_is_rejected(feature: str, field: str, message: str) -> None:
    problem = config_problem(feature)
    assert problem.field == f"feature_configs[0].custom_feature.{field}"
    assert message in problem.message
