from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.fixtures.small_model import (
    OUTPUTS,
    expected_predictions,
    exported_package,
    small_config,
    small_encoder,
    small_model,
    small_rows,
)
from tzrec.errors import DataError
from tzrec.protos import data_pb2
from tzrec.serving.frames import as_table
from tzrec.serving.predictor import Predictor, load, to_arrow
from tzrec.serving.servable import Servable


def eager(policy: int = data_pb2.ERROR, max_batch_size: int = 8192) -> Predictor:
    config = small_config()
    config.export_config.max_batch_size = max_batch_size
    config.data_config.bad_row_policy = policy  # type: ignore[assignment]
    return Predictor(Servable.from_model(small_model()), config, small_encoder())


def test_predictor_of_package_in_batches_equals_trained_model() -> None:
    """Batches of 8, 8 and 4 rows against one batch of the trained model, in order."""
    rows, package = small_rows(20), load(exported_package())
    package.config.export_config.max_batch_size = 8
    scores = package.predict(rows)
    assert scores.column_names == OUTPUTS
    for name, value in expected_predictions(rows).items():
        np.testing.assert_allclose(np.stack(scores[name].to_numpy()), value.numpy(), atol=1e-6, rtol=1e-6)
    assert scores.schema.field("probs_ctr").type == pa.float32()
    assert scores.schema.field("probs_kind").type == pa.list_(pa.float32())


@pytest.mark.parametrize(
    "frame",
    [
        lambda table: table.to_batches()[0],
        lambda table: pa.concat_tables([table.slice(0, 3), table.slice(3)]),
        lambda table: table.slice(0, 7).append_column("more", pa.array(range(7))),
    ],
)
def test_predict_of_record_batch_chunks_and_extra_columns_equals_table(frame: Any) -> None:
    table = small_rows(7)
    assert eager().predict(frame(table)) == eager().predict(table)


class Frame:
    """Frame with an Arrow C stream, as those of pandas and polars."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def test_predict_of_arrow_stream_equals_table() -> None:
    assert as_table(Frame(small_rows(3))) == small_rows(3)
    assert eager().predict(Frame(small_rows(3))) == eager().predict(small_rows(3))


def test_predict_of_list_raises() -> None:
    with pytest.raises(DataError, match="list is not a table"):
        eager().predict([1, 2])


def test_predict_with_missing_columns_raises() -> None:
    with pytest.raises(DataError, match="no column scores, place; the table has row, user"):
        eager().predict(small_rows(3).drop_columns(["place", "scores"]))


def test_predict_without_rows_raises() -> None:
    with pytest.raises(DataError, match="no rows"):
        eager().predict(small_rows(3).slice(0, 0))


def test_predict_with_bad_value_raises_or_takes_default() -> None:
    rows = small_rows(7)
    items = rows["item"].to_pylist()
    items[5] = 999
    bad = rows.set_column(rows.column_names.index("item"), "item", pa.array(items))
    with pytest.raises(DataError, match=r'row 5: column "item" has \'999\': .*bad_row_policy'):
        eager(max_batch_size=4).predict(bad)
    items[5] = None
    default = rows.set_column(rows.column_names.index("item"), "item", pa.array(items))
    assert eager(data_pb2.DEFAULT, max_batch_size=4).predict(bad) == eager().predict(default)


USER_COLUMNS = ["user", "friend", "scores", "place"]


def test_rank_users_equals_predict_of_full_rows() -> None:
    rows, users, owners = small_rows(6), small_rows(9).slice(6), np.array([2, 0, 0, 1, 2, 0])
    user_columns = [name for name in rows.column_names if name in USER_COLUMNS or name.startswith("clicks__")]
    items = rows.drop_columns(user_columns)
    full = users.select(user_columns).take(owners)
    for name in items.column_names:
        full = full.append_column(name, items[name])
    expected = eager().predict(full)
    assert eager().rank_users(users.select(user_columns), items, owners) == expected
    one = eager().rank(users.select(user_columns).slice(1, 1), items.slice(3, 1))
    assert one == eager().predict(full.slice(3, 1))
    in_batches = eager(max_batch_size=4).rank_users(users.select(user_columns), items, owners)
    assert in_batches.column_names == expected.column_names
    for name in expected.column_names:
        values = [np.stack(table[name].to_numpy()) for table in (in_batches, expected)]
        np.testing.assert_allclose(*values, atol=1e-6)


def test_to_arrow_returns_float32_columns_in_alphabetical_order() -> None:
    outputs = {"y": torch.tensor([1.5, 2.5]).bfloat16(), "a": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
    table = to_arrow(outputs)
    assert table.to_pydict() == {"a": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "y": [1.5, 2.5]}
    assert table.schema.types == [pa.list_(pa.float32()), pa.float32()]
