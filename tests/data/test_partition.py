from __future__ import annotations

import numpy as np
import pytest

from tzrec.data.partition import BatchPartition, RankRows, even_range


def test_steps_of_two_ranks_are_those_computed_by_hand() -> None:
    partition = BatchPartition(batch_size=4, rank=1, world_size=2, start=3)
    assert partition.global_batch == 8
    assert partition.full_step(3) == RankRows(after=11, begin=7, end=11, rows=4)
    assert partition.last_step(11, 14) == RankRows(after=14, begin=12, end=14, rows=2)
    assert BatchPartition(4, 0, 2).last_step(8, 9) == RankRows(after=9, begin=8, end=9, rows=0)  # row 8 is rank 1's
    assert [even_range(rank, 3, 10, 14) for rank in range(3)] == [(10, 11), (11, 12), (12, 14)]


@pytest.mark.parametrize("stop", [5, 6, 8, 9, 12, 20, 23])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("start", [0, 5])
def test_mask_equals_the_rows_of_all_steps(stop: int, world: int, start: int) -> None:
    for rank in range(world):
        partition = BatchPartition(2, rank, world, start)
        positions_of_rank: set[int] = set()
        first = start
        while first + partition.global_batch <= stop:
            step = partition.full_step(first)
            positions_of_rank |= set(range(step.begin, step.end))
            first = step.after
        if first < stop:
            last = partition.last_step(first, stop)
            positions_of_rank |= set(range(last.begin, last.end))
        positions = np.arange(stop)
        assert set(positions[partition.mask(positions, stop)].tolist()) == positions_of_rank
        assert positions_of_rank <= set(positions[partition.mask(positions, None)].tolist())
