from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fixtures.data_threads import data_threads
from tzrec.data.prefetch import PrefetchQueue, ReadAhead


def numbers(count: int, drawn: list[int] | None = None, fail_at: int = -1) -> Iterator[Callable[[], int]]:
    """Jobs that return 0, 1, ...; every third one takes longer."""
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
def test_prefetch_returns_results_in_order(threads: int, depth: int) -> None:
    assert list(PrefetchQueue(numbers(20), threads, depth)) == list(range(20))
    assert data_threads() == []


def test_prefetch_draws_at_most_depth_jobs_ahead() -> None:
    drawn: list[int] = []
    queue = PrefetchQueue(numbers(20, drawn), threads=2, depth=3)
    assert next(queue) == 0
    time.sleep(0.05)
    assert len(drawn) <= 1 + 3 + 1  # taken, in the queue, and the one waiting for room
    queue.close()


def test_prefetch_runs_jobs_in_parallel() -> None:
    barrier = threading.Barrier(3, timeout=5)
    jobs: list[Callable[[], int]] = [barrier.wait] * 3
    assert sorted(PrefetchQueue(iter(jobs), threads=3, depth=3)) == [0, 1, 2]


@pytest.mark.parametrize("threads", [0, 2])
def test_prefetch_raises_errors_after_the_results_before_them(threads: int) -> None:
    queue = PrefetchQueue(numbers(9, fail_at=4), threads, 3)
    assert [next(queue) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="no more"):
        next(queue)

    def broken() -> int:
        raise KeyError("job")

    queue = PrefetchQueue(iter([lambda: 1, broken, lambda: 3]), threads, 3)
    assert next(queue) == 1
    with pytest.raises(KeyError, match="job"):
        next(queue)
    assert data_threads() == []


def test_start_prefetches_before_the_first_item_is_taken() -> None:
    has_run = threading.Event()
    queue = PrefetchQueue(iter([has_run.set]), threads=1, depth=1)
    queue.start()
    assert has_run.wait(5)
    queue.close()


def test_close_joins_the_threads_and_ends_the_iteration() -> None:
    queue = PrefetchQueue(numbers(20), threads=2, depth=3)
    assert next(queue) == 0
    assert len(data_threads()) == 3
    queue.close()
    assert data_threads() == []
    assert list(queue) == []


def test_close_wakes_a_waiting_consumer() -> None:
    is_released = threading.Event()
    queue = PrefetchQueue(iter([is_released.wait]), threads=1, depth=1)
    results: list[list[bool]] = []
    consumer = threading.Thread(target=lambda: results.append(list(queue)))
    consumer.start()
    time.sleep(0.02)
    closer = threading.Thread(target=queue.close)
    closer.start()
    consumer.join(5)
    is_released.set()
    closer.join(5)
    assert results == [[]]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_read_ahead_runs_jobs_while_no_other_job_waits(threads: int) -> None:
    read_ahead, runs = ReadAhead(), []

    def jobs() -> Iterator[Callable[[], int]]:
        results = [read_ahead.submit(lambda number=number: runs.append(number) or number) for number in range(5)]
        for result in results:
            value = result()
            yield lambda value=value: value

    assert list(PrefetchQueue(jobs(), threads, 2, read_ahead)) == list(range(5))
    assert sorted(runs) == list(range(5))
    assert data_threads() == []


def test_read_ahead_raises_the_error_of_a_job_where_its_result_is_needed() -> None:
    read_ahead = ReadAhead()
    result = read_ahead.submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        result()


def test_read_ahead_of_a_thread_is_taken_by_no_other() -> None:
    read_ahead, is_started, is_released = ReadAhead(), threading.Event(), threading.Event()

    def read() -> int:
        is_started.set()
        assert is_released.wait(5)
        return 7

    def jobs() -> Iterator[Callable[[], int]]:
        result = read_ahead.submit(read)
        assert is_started.wait(5)  # by the thread of the queue
        is_released.set()
        value = result()
        yield lambda: value

    assert list(PrefetchQueue(jobs(), 1, 1, read_ahead)) == [7]
