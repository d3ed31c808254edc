"""Estimates from the state of the optimizer of tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tzrec.run.table_fill import ShardState, expected_collisions


@pytest.mark.parametrize("num_ids", [100, 1000, 3000])
def test_expected_collisions_agree_with_random_hashes(num_ids: int) -> None:
    rows = np.random.default_rng(0).integers(0, 1000, (50, num_ids))
    counts = np.stack([np.bincount(row, minlength=1000) for row in rows])
    shared = float(np.mean([(np.take(count, row) > 1).mean() for count, row in zip(counts, rows, strict=True)]))
    estimate = expected_collisions(float((counts > 0).mean()))
    assert estimate == pytest.approx(shared, abs=0.01)


def test_expected_collisions_of_empty_and_full_tables() -> None:
    assert expected_collisions(0.0) == 0.0
    assert expected_collisions(1.0) is None


def test_rows_are_updated_where_any_state_differs_from_its_start() -> None:
    by_row, by_value = torch.tensor([0.1, 0.2, 0.1]), torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 5.0]])
    shard = ShardState("user", 0, [(by_row, float(by_row[0])), (by_value, 0.0)])
    assert shard.is_updated(slice(None)).tolist() == [False, True, True]
    assert shard.is_updated(torch.tensor([2, 0])).tolist() == [True, False]
