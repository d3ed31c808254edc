"""Rows that training has updated, by the state of the optimizer."""

from __future__ import annotations

import torch

from tzrec.run.table_fill import ShardState


def test_rows_are_updated_where_any_state_differs_from_its_start() -> None:
    by_row, by_value = torch.tensor([0.1, 0.2, 0.1]), torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 5.0]])
    shard = ShardState("user", 0, [(by_row, float(by_row[0])), (by_value, 0.0)])
    assert shard.is_updated(slice(None)).tolist() == [False, True, True]
    assert shard.is_updated(torch.tensor([2, 0])).tolist() == [True, False]


def test_no_rows_are_updated_where_none_are_asked_for() -> None:
    shard = ShardState("user", 0, [(torch.ones(3, 2), 0.0), (torch.ones(3), 0.0)])
    assert shard.is_updated(torch.tensor([], dtype=torch.int64)).tolist() == []
