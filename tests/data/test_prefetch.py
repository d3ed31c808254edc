from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tzrec.data.prefetch import ordered_prefetch


def numbers(count: int, drawn: list[int] | None = None, fail_at: int = -1) -> Iterator[Callable[[], int]]:
    """Jobs that return 0, 1, ...; the early ones take longer."""
    for number in range(count):
        if number == fail_at:
            raise OSError("no more")
        if drawn is not None:
            drawn.append(number)

        def job(number: int = number) -> int:
            time.sleep(0.002 * (number % 3 == 0))
            return number

        yield job


@pytest.mark.parametrize("threads", [0, 1, 4])
@pytest.mark.parametrize("depth", [1, 3])
def test_in_order(threads: int, depth: int) -> None:
    assert list(ordered_prefetch(numbers(20), threads, depth)) == list(range(20))


def test_no_further_ahead_than_depth() -> None:
    drawn: list[int] = []
    results = ordered_prefetch(numbers(20, drawn), threads=2, depth=3)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(drawn) <= 1 + 3 + 1  # taken, in line, and the one waiting for room
    results.close()  # type: ignore[attr-defined]


def test_jobs_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=5)
    jobs: list[Callable[[], int]] = [barrier.wait] * 3
    assert sorted(ordered_prefetch(iter(jobs), threads=3, depth=3)) == [0, 1, 2]


@pytest.mark.parametrize("threads", [0, 2])
def test_errors_come_after_the_results_before_them(threads: int) -> None:
    results = ordered_prefetch(numbers(9, fail_at=4), threads, 3)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="no more"):
        next(results)

    def broken() -> int:
        raise KeyError("job")

    results = ordered_prefetch(iter([lambda: 1, broken, lambda: 3]), threads, 3)
    assert next(results) == 1
    with pytest.raises(KeyError, match="job"):
        next(results)
    assert not [thread for thread in threading.enumerate() if thread.name == "tzrec-data"]
