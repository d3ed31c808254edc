from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import encoder, ids_by_row, reports
from tzrec.errors import ConfigError, DataError
from tzrec.features.base import FeatureInput

ID = 'id_feature {{ feature_name: "{}" expression: "{}" num_buckets: 10 embedding_dim: 4 {} }}'
RAW = 'raw_feature {{ feature_name: "{}" expression: "{}" {} }}'


def test_batch_is_encoded_with_bad_rows() -> None:
    both = encoder(
        ID.format("user", "user:uid", ""), RAW.format("price", "item:p", ""), ID.format("again", "item:uid", "")
    )
    assert list(both.features) == ["user", "price", "again"]
    assert both.columns == ("uid", "p")
    batch = pa.RecordBatch.from_pydict({"extra": ["x", "y"], "p": [0.5, None], "uid": [3, 11]})
    columns, bad = both.encode(batch)
    assert list(columns) == ["user", "price", "again"]
    assert ids_by_row(columns["user"]) == ids_by_row(columns["again"]) == [[3], []]
    assert columns["price"].values.tolist() == [[0.5], [0]]
    assert [report[:3] for report in reports(bad)] == [("uid", "out of range [0, 10)", [1])] * 2
    assert bad.mask.tolist() == [False, True]


def test_empty_batch_has_no_values() -> None:
    columns, bad = encoder(ID.format("a", "user:x", ""), RAW.format("b", "user:y", "value_dim: 3")).encode(
        pa.RecordBatch.from_pydict({"x": pa.array([], pa.string()), "y": pa.array([], pa.float64())})
    )
    assert columns["a"].values.shape == (0,)
    assert columns["b"].values.shape == (0, 3)
    assert not bad


def test_feature_and_const_inputs_are_linked() -> None:
    """log10 of the price as a stub, bucketized twice; a literal; a stub stays out of the result."""
    built = encoder(
        RAW.format("bucket", "feature:scaled", "boundaries: [0, 1, 2] embedding_dim: 4"),
        RAW.format("scaled", "item:price", 'normalizer: "method=log10" stub_type: true default_value: "0.5"'),
        ID.format("same", "feature:bucket", ""),
        ID.format("literal", "const:7", ""),
        RAW.format("pi", "const:3.14", ""),
    )
    assert built.columns == ("price",)
    assert list(built.features) == ["bucket", "scaled", "same", "literal", "pi"]
    columns, bad = built.encode(pa.RecordBatch.from_pydict({"price": [0.1, 1.0, 100.0, None]}))
    assert list(columns) == ["bucket", "same", "literal", "pi"]
    assert ids_by_row(columns["bucket"]) == ids_by_row(columns["same"]) == [[0], [1], [3], [1]]
    assert ids_by_row(columns["literal"]) == [[7]] * 4
    assert np.allclose(columns["pi"].values, 3.14)
    assert not bad


def test_vectors_and_lists_are_inputs_of_features() -> None:
    built = encoder(
        RAW.format("two", "item:v", "value_dim: 2"),
        RAW.format("double", "feature:two", 'value_dim: 2 normalizer: "method=expression,expr=2*x"'),
        ID.format("many", "item:ids", ""),
        ID.format("copy", "feature:many", 'default_value: "9"'),
    )
    batch = pa.RecordBatch.from_pydict({"v": [[1.0, 2.0], [3.0, 4.0]], "ids": ["1\x1d2", ""]})
    columns, _ = built.encode(batch)
    assert columns["double"].values.tolist() == [[2, 4], [6, 8]]
    assert ids_by_row(columns["copy"]) == [[1, 2], [9]]


def test_encoded_data_has_one_column_per_feature() -> None:
    built = encoder(
        ID.format("a", "user:x", ""), ID.format("b", "feature:a", ""), ID.format("s", "user:z", "stub_type: true"),
        mode="FG_NONE",
    )  # fmt: skip
    assert built.columns == ("a", "b")
    assert built.features["b"].inputs == (FeatureInput("feature", "b"),)
    columns, _ = built.encode(pa.RecordBatch.from_pydict({"a": [1], "b": [2]}))
    assert {name: ids_by_row(column) for name, column in columns.items()} == {"a": [[1]], "b": [[2]]}


def test_normal_mode_reads_every_input_from_data() -> None:
    built = encoder(ID.format("a", "user:x", ""), ID.format("b", "feature:y", ""), mode="FG_NORMAL")
    assert built.columns == ("x", "y")
    columns, _ = built.encode(pa.RecordBatch.from_pydict({"x": [1], "y": ["2"]}))
    assert ids_by_row(columns["b"]) == [[2]]


def test_chunked_tables_are_encoded() -> None:
    table = pa.concat_tables([pa.table({"x": ["1", "2"]}), pa.table({"x": ["3"]})])
    columns, _ = encoder(ID.format("a", "user:x", "")).encode(table)
    assert columns["a"].values.tolist() == [1, 2, 3]


def test_threads_share_encoder() -> None:
    from concurrent.futures import ThreadPoolExecutor

    built = encoder('id_feature { feature_name: "h" expression: "user:x" hash_bucket_size: 997 embedding_dim: 4 }')
    batches = [pa.RecordBatch.from_pydict({"x": [f"{i}-{j}" for j in range(500)]}) for i in range(8)]
    alone = [built.encode(batch)[0]["h"].values for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = [columns["h"].values for columns, _ in pool.map(built.encode, batches)]
    assert all((left == right).all() for left, right in zip(alone, together, strict=True))


def test_missing_column_is_rejected() -> None:
    with pytest.raises(DataError, match='no column "uid" in the data; its columns are ui, p'):
        encoder(ID.format("a", "user:uid", "")).encode(pa.RecordBatch.from_pydict({"ui": [1], "p": [2]}))


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        encoder(
            ID.format("a", "user:x", ""),
            ID.format("a", "uid", ""),
            ID.format("b", "usr:x", 'default_value: "77"'),
            ID.format("a", "user:y", ""),
            RAW.format("c", "user:a:b", ""),
            RAW.format("d", "user:y", 'normalizer: "x"'),
            'custom_feature { feature_name: "e" expression: "user:x" operator_name: "a" }',
            'sequence_id_feature { feature_name: "g" expression: "const:1" embedding_dim: 3 num_buckets: 3 }',
            "",
        )
    assert [problem.field for problem in error.value.problems] == [
        "feature_configs[1].id_feature.expression",
        "feature_configs[2].id_feature.expression",
        "feature_configs[3].id_feature.feature_name",
        "feature_configs[4].raw_feature.expression",
        "feature_configs[5].raw_feature.normalizer",
        "feature_configs[6].custom_feature.operator_name",
        "feature_configs[7].sequence_id_feature.sequence_fields",
        "feature_configs[8]",
    ]
    assert '"uid" is not side:name' in error.value.problems[0].message


def test_bucketize_mode_reads_unbucketized_values() -> None:
    built = encoder(
        'id_feature { feature_name: "tag" expression: "user:x" hash_bucket_size: 100 embedding_dim: 4 }',
        RAW.format("cut", "user:y", 'boundaries: [1, 10] embedding_dim: 4 normalizer: "method=log10"'),
        RAW.format("plain", "user:z", 'normalizer: "method=log10" default_value: "5"'),
        ID.format("s", "user:q", "stub_type: true"),
        mode="FG_BUCKETIZE",
    )
    assert built.columns == ("tag", "cut", "plain")
    batch = pa.RecordBatch.from_pydict({"tag": ["abc\x1defg", None], "cut": [1.5, 100.0], "plain": [7.0, None]})
    columns, bad = built.encode(batch)
    assert ids_by_row(columns["tag"]) == [[33, 44], []]
    assert ids_by_row(columns["cut"]) == [[1], [2]]
    assert columns["plain"].values.tolist() == [[7.0], [5.0]]
    assert not bad


def test_unknown_feature_input_is_rejected() -> None:
    with pytest.raises(ConfigError) as error:
        encoder(ID.format("price_bucket", "user:x", ""), ID.format("b", "feature:price_buckt", ""))
    [problem] = error.value.problems
    assert problem.field == "feature_configs[1].id_feature.expression"
    assert problem.message == 'no feature "price_buckt" for "feature:price_buckt"; did you mean "price_bucket"?'


def test_circular_inputs_are_rejected() -> None:
    with pytest.raises(ConfigError) as error:
        encoder(
            ID.format("x", "feature:a", ""), ID.format("a", "feature:b", ""), ID.format("b", "feature:c", ""),
            ID.format("c", "feature:a", ""),
        )  # fmt: skip
    [problem] = error.value.problems
    assert problem.field == "feature_configs[1].id_feature.expression"
    assert problem.message == "features read each other in a cycle: a -> b -> c -> a"
