from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.serving.small import (
    OUTPUTS,
    expected,
    exported,
    small_config,
    small_encoder,
    small_ranker,
    small_rows,
)
from tzrec.errors import DataError
from tzrec.protos import data_pb2
from tzrec.serving import predictor
from tzrec.serving.predictor import Predictor, as_table, load, to_arrow
from tzrec.serving.servable import Servable


def eager(policy: int = data_pb2.ERROR) -> Predictor:
    config = small_config()
    config.data_config.bad_row_policy = policy  # type: ignore[assignment]
    return Predictor(Servable.of(small_ranker()), config, small_encoder())


def test_scores_of_a_package_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches of 8, 8 and 4 rows say what one batch of the trained model says, in order."""
    monkeypatch.setattr(predictor, "ROWS", 8)
    rows = small_rows(20)
    scores = load(exported()).predict(rows)
    assert scores.column_names == OUTPUTS
    for name, value in expected(rows).items():
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
def test_kinds_of_frames(frame: Any) -> None:
    table = small_rows(7)
    assert eager().predict(frame(table)) == eager().predict(table)


class Frame:
    """What pandas and polars frames have in common."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def test_any_frame_that_speaks_arrow() -> None:
    assert as_table(Frame(small_rows(3))) == small_rows(3)
    assert eager().predict(Frame(small_rows(3))) == eager().predict(small_rows(3))


def test_no_frame() -> None:
    with pytest.raises(DataError, match="list is no table"):
        eager().predict([1, 2])


def test_missing_columns() -> None:
    with pytest.raises(DataError, match="no column scores, place; the table has row, user"):
        eager().predict(small_rows(3).drop_columns(["place", "scores"]))


def test_no_rows() -> None:
    with pytest.raises(DataError, match="no rows"):
        eager().predict(small_rows(3).slice(0, 0))


def test_bad_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "ROWS", 4)
    rows = small_rows(7)
    items = rows["item"].to_pylist()
    items[5] = 999
    bad = rows.set_column(rows.column_names.index("item"), "item", pa.array(items))
    with pytest.raises(DataError, match=r'row 5: column "item" has \'999\': .*bad_row_policy'):
        eager().predict(bad)
    items[5] = None
    default = rows.set_column(rows.column_names.index("item"), "item", pa.array(items))
    assert eager(data_pb2.DEFAULT).predict(bad) == eager().predict(default)


def test_to_arrow() -> None:
    outputs = {"y": torch.tensor([1.5, 2.5]).bfloat16(), "a": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
    table = to_arrow(outputs)
    assert table.to_pydict() == {"a": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "y": [1.5, 2.5]}
    assert table.schema.types == [pa.list_(pa.float32()), pa.float32()]
