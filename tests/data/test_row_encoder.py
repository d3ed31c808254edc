"""RowEncoder: raw rows to encoded rows, without files."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.numbered_rows import make_config, table
from tzrec.data.row_encoder import RowEncoder
from tzrec.errors import ConfigError, DataError, UsageError

ROWS = pa.table(
    {
        "uid": [5, 1_000_000, 7, 8],  # 1000000 is out of range
        "price": [0.5, 1.0, None, 2.0],
        "clk": [1, 0, 1, None],
        "w": [1.0, 1.0, 1.0, 1.0],
        "note": ["a", "b", "c", "d"],
    }
)


def test_encoded_rows_have_features_targets_and_reserved_columns() -> None:
    encoded = RowEncoder(make_config(), ["note", "clk"])(ROWS.slice(2, 1))
    assert encoded.schema == pa.schema(
        {"uid": pa.list_(pa.int64()), "price": pa.float32(), "clk": pa.int64(), "w": pa.float64(), "note": pa.string()}
    )
    assert encoded.to_pylist() == [{"uid": [7], "price": 0.0, "clk": 1, "w": 1.0, "note": "c"}]


@pytest.mark.parametrize(
    ("policy", "uids"), [("DEFAULT", [[5], [], [7]]), ("SKIP_ROW", [[5], [7]])]
)  # a row without a label is skipped by both
def test_bad_row_policy_applies(policy: str, uids: list[list[int]]) -> None:
    encoder = RowEncoder(make_config(f"bad_row_policy: {policy}"))
    assert encoder(ROWS)["uid"].to_pylist() == uids
    bad = encoder.encode(ROWS.combine_chunks().to_batches()[0], first=100).bad
    assert [(value.column, value.reason, value.value, value.row) for value in bad] == [
        ("uid", "out of range [0, 1000000)", 1_000_000, 101),
        ("clk", "null label", None, 103),
    ]


def test_first_bad_row_is_an_error_by_default() -> None:
    with pytest.raises(DataError, match=r'^row 1 of the batch: column "uid" has \'1000000\': out of range'):
        RowEncoder(make_config())(ROWS)


def test_words_for_missing_values_are_nulls() -> None:
    rows = ROWS.set_column(1, "price", pa.array(["0.5", "N/A", None, "2"]).dictionary_encode())
    encoder = RowEncoder(make_config('bad_row_policy: DEFAULT null_values: "N/A"'))
    assert encoder(rows.slice(0, 3))["price"].to_pylist() == [0.5, 0.0, 0.0]
    with pytest.raises(DataError, match=r'column "price" has \'N/A\''):
        RowEncoder(make_config())(rows.slice(1, 1).set_column(0, "uid", pa.array([1])))


def test_batches_and_tables_of_any_stored_type_are_encoded() -> None:
    """A batch returns a batch, a table a table; stored types that features do not read are converted."""
    encoder = RowEncoder(make_config())
    rows = pa.table(
        {
            "uid": pa.array([3, 4], pa.uint16()),
            "price": pa.array(["1", "2"]).dictionary_encode(),
            "clk": pa.array([True, False]),
            "w": pa.array([1.0, 2.0], pa.float16()),
        }
    )
    encoded_table, encoded_batch = encoder(rows), encoder(rows.to_batches()[0])
    assert isinstance(encoded_table, pa.Table) and isinstance(encoded_batch, pa.RecordBatch)
    assert encoded_table.to_pylist() == encoded_batch.to_pylist()
    assert encoded_table["clk"].to_pylist() == [1, 0] and encoded_table["price"].to_pylist() == [1.0, 2.0]
    assert encoder(rows.slice(0, 0)).schema == encoded_table.schema


def test_encoding_in_pieces_equals_encoding_at_once() -> None:
    encoder = RowEncoder(make_config())
    expected = encoder(table(50))
    pieces = [encoder(table(50).slice(first, 7)) for first in range(0, 50, 7)]
    assert pa.concat_tables(pieces).equals(expected)


def test_pickled_encoder_encodes_equally() -> None:
    encoder = pickle.loads(pickle.dumps(RowEncoder(make_config(), ["clk"])))
    assert encoder(table(3)).equals(RowEncoder(make_config())(table(3)))
    np.testing.assert_array_equal(encoder(table(3))["price"], [0, 0.5, 1.0])


def test_invalid_configs_and_rows_are_rejected() -> None:
    with pytest.raises(ConfigError, match="FG_NONE: the data is already encoded"):
        RowEncoder(make_config("fg_mode: FG_NONE"))
    with pytest.raises(UsageError, match='--reserved_columns: "uid" is also the name of a feature'):
        RowEncoder(make_config(), ["uid"])
    with pytest.raises(DataError, match="no column w in the rows; their columns are uid, price, clk"):
        RowEncoder(make_config())(ROWS.select(["uid", "price", "clk"]))
