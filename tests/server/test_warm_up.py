from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.small_model import exported_package
from tzrec.protos.serve_pb2 import QueueConfig
from tzrec.server.metrics import Metrics
from tzrec.server.model import ServedModel
from tzrec.serving.predictor import Predictor


def test_model_warms_up_with_nothing_text_and_numbers_and_for_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked: set[tuple[str, int]] = set()
    rank = Predictor.rank

    def record(predictor: Predictor, user: Any, items: Any) -> pa.Table:
        ranked.add((str(user.schema.field("user").type), items.num_rows))
        return rank(predictor, user, items)

    monkeypatch.setattr(Predictor, "rank", record)
    ServedModel("small", "1", exported_package(), QueueConfig(), Metrics()).close()
    assert ranked == {(kind, num_rows) for kind in ("null", "string", "int64") for num_rows in (1, 200)}
