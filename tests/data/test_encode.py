"""RowEncoder: raw rows to encoded ones, bad rows as the policy says, in engines that know nothing of files."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.numbered_rows import make_config, table
from tzrec.data.encode import RowEncoder
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


def test_rows() -> None:
    encoded = RowEncoder(make_config(), ["note", "clk"])(ROWS.slice(2, 1))
    assert encoded.schema == pa.schema(
        {"uid": pa.list_(pa.int64()), "price": pa.float32(), "clk": pa.int64(), "w": pa.float64(), "note": pa.string()}
    )
    assert encoded.to_pylist() == [{"uid": [7], "price": 0.0, "clk": 1, "w": 1.0, "note": "c"}]


@pytest.mark.parametrize(
    ("policy", "uids"), [("DEFAULT", [[5], [], [7]]), ("SKIP_ROW", [[5], [7]])]
)  # a row without a label is left out under both
def test_policies(policy: str, uids: list[list[int]]) -> None:
    encoder = RowEncoder(make_config(f"bad_row_policy: {policy}"))
    assert encoder(ROWS)["uid"].to_pylist() == uids
    bad = encoder.encode(ROWS.combine_chunks().to_batches()[0], first=100).bad
    assert [(each.column, each.reason, each.value, each.row) for each in bad] == [
        ("uid", "out of range [0, 1000000)", 1_000_000, 101),
        ("clk", "null label", None, 103),
    ]


def test_the_first_bad_row_stops() -> None:
    with pytest.raises(DataError, match=r'^row 1 of the batch: column "uid" has \'1000000\': out of range'):
        RowEncoder(make_config())(ROWS)


def test_kinds_of_input() -> None:
    """A batch gives a batch, a table a table; types of Parquet files that are no types of features are understood."""
    encoder = RowEncoder(make_config())
    rows = pa.table(
        {
            "uid": pa.array([3, 4], pa.uint16()),
            "price": pa.array(["1", "2"]).dictionary_encode(),
            "clk": pa.array([True, False]),
            "w": pa.array([1.0, 2.0], pa.float16()),
        }
    )
    of_table, of_batch = encoder(rows), encoder(rows.to_batches()[0])
    assert isinstance(of_table, pa.Table) and isinstance(of_batch, pa.RecordBatch)
    assert of_table.to_pylist() == of_batch.to_pylist()
    assert of_table["clk"].to_pylist() == [1, 0] and of_table["price"].to_pylist() == [1.0, 2.0]
    assert encoder(rows.slice(0, 0)).schema == of_table.schema


def test_in_pieces_or_at_once() -> None:
    encoder = RowEncoder(make_config())
    whole = encoder(table(50))
    pieces = [encoder(table(50).slice(first, 7)) for first in range(0, 50, 7)]
    assert pa.concat_tables(pieces).equals(whole)


def test_it_travels() -> None:
    encoder = pickle.loads(pickle.dumps(RowEncoder(make_config(), ["clk"])))
    assert encoder(table(3)).equals(RowEncoder(make_config())(table(3)))
    np.testing.assert_array_equal(encoder(table(3))["price"], [0, 0.5, 1.0])


def test_refused() -> None:
    with pytest.raises(ConfigError, match="FG_NONE: this data is encoded already"):
        RowEncoder(make_config("fg_mode: FG_NONE"))
    with pytest.raises(UsageError, match='--reserved_columns: "uid" is a feature as well'):
        RowEncoder(make_config(), ["uid"])
    with pytest.raises(DataError, match="no column w in the rows; there are uid, price, clk"):
        RowEncoder(make_config())(ROWS.select(["uid", "price", "clk"]))
