from __future__ import annotations

import numpy as np
import pytest

from tzrec.server.windowed import WindowedCounts


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_windowed_counts_forget_after_one_window() -> None:
    clock = Clock()
    counts = WindowedCounts(2, 10, clock)
    counts.add(np.array([1, 2]))
    clock.now += 4.9
    counts.add(np.array([10, 0]))
    assert counts.total().tolist() == [11, 2]
    clock.now += 4.9  # in the second half
    counts.add(np.array([100, 0]))
    assert counts.total().tolist() == [111, 2]
    clock.now += 5.1  # the first half is forgotten
    assert counts.total().tolist() == [100, 0]
    clock.now += 5
    assert counts.total().tolist() == [0, 0]


@pytest.mark.parametrize("wait_s", [10.1, 1000.0])
def test_windowed_counts_forget_all_after_a_pause(wait_s: float) -> None:
    clock = Clock()
    counts = WindowedCounts(1, 10, clock)
    counts.add(np.array([1]))
    clock.now += wait_s
    assert counts.total().tolist() == [0]
    counts.add(np.array([3]))
    assert counts.total().tolist() == [3]
