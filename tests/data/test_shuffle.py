from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.data.conftest import Write
from tests.fixtures.numbered_rows import make_config
from tzrec.data.partition import BatchPartition
from tzrec.data.reader import open_reader
from tzrec.data.shuffle import permutation, shuffled_windows


def test_permutations_of_windows_differ() -> None:
    keys = list(itertools.product((1, 2), (0, 1), (0, 1)))
    orders = {key: permutation(key, 50) for key in keys}
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders.values())
    assert len({tuple(order.tolist()) for order in orders.values()}) == len(keys)


def test_permutation_equals_that_of_the_first_release() -> None:
    """Resuming from older checkpoints depends on it."""
    assert permutation((1, 0, 0), 8).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]


def test_permutation_is_uniform() -> None:
    """Each of 4 positions gets each of 4 rows about 250 times in 1000: chi-square with 9 degrees of freedom."""
    counts = np.zeros((4, 4))
    for window in range(1000):
        counts[np.arange(4), permutation((5, 0, window), 4)] += 1
    assert ((counts - 250) ** 2 / 250).sum() < 27.9  # 0.1 %


@pytest.mark.parametrize("start", [0, 5, 15])
def test_shuffled_windows_hold_only_the_rows_of_the_rank(write: Write, start: int) -> None:
    reader = open_reader(make_config().data_config, write([9, 8, 6]))
    windows_by_rank = [list(shuffled_windows(reader, 6, BatchPartition(2, rank, 2, start), 1, 0)) for rank in (0, 1)]
    numbers = [[row for window in windows for row in window.rows.tolist()] for windows in windows_by_rank]
    assert len(numbers[0]) + len(numbers[1]) == 23 - start
    assert not set(numbers[0]) & set(numbers[1])
    for window in itertools.chain(*windows_by_rank):
        assert window.table["uid"].to_pylist() == window.rows.tolist()
    first = start // 6 * 6
    assert windows_by_rank[0][0].stop == min(first + 6, 23)
