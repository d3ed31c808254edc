"""Position of a run."""

from __future__ import annotations

from tzrec.checkpoint.position import Position
from tzrec.data.batch import Batch, Cursor


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
    import json

    position = Position(7, Cursor(1, 2, 3), 1)
    assert Position.from_json(json.loads(json.dumps(position.to_json()))) == position
