"""Position of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tzrec.checkpoint.position import Position
from tzrec.data.batch import Batch, Cursor, Deal


def test_position_counts_steps_and_epochs() -> None:
    start = Position()
    assert (start.steps, start.epochs) == (0, 0)
    one = start.after(Batch(rows=4, cursor=Cursor(0, 4, 8)))
    assert (one.step, one.steps, one.cursor) == (0, 1, Cursor(0, 4, 8))
    assert one.next_epoch().cursor == Cursor(1, 0, 8)
    assert one.next_epoch().epochs == 1


def test_position_data_only_restarts_counts() -> None:
    old = Position(99, Cursor(3, 40, 8))
    new = old.data_only()
    assert (new.steps, new.epochs, new.cursor) == (0, 0, Cursor(3, 40, 8))
    assert new.next_epoch().epochs == 1


def test_position_json_round_trip_is_equal() -> None:
    for cursor in (Cursor(1, 2, 3), Cursor(1, 50, 8, (Deal(8, 20, 20), Deal(9, 30, 30)))):
        position = Position(7, cursor, 1)
        assert Position.from_json(json.loads(json.dumps(position.to_json()))) == position


def test_position_between_epochs_is_written_as_versions_without_streams_read_it() -> None:
    position = Position(7, Cursor(1, 50, 8, (Deal(8, 50, 50),))).next_epoch()
    assert position.to_json()["cursor"] == {"epoch": 2, "row": 0, "window": 8}


@pytest.mark.parametrize(
    ("deal", "message"),
    [
        ({"num_streams": 0, "batch": 4, "rows": 50}, "the num_streams of its position is no valid number"),
        ({"num_streams": 8, "batch": "4", "rows": 50}, "the batch of its position is no valid number"),
        ({"num_streams": 8, "batch": 4, "rows": 49}, "the rows of its position do not add up"),
    ],
)
def test_position_with_invalid_deals_is_an_error(deal: dict[str, Any], message: str) -> None:
    value = {"step": 1, "first_epoch": 0, "cursor": {"epoch": 0, "row": 50, "window": 8, "deals": [deal]}}
    with pytest.raises(ValueError, match=message):
        Position.from_json(value)
