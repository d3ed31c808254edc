"""Time of jobs by their kind."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tzrec.data.job_timer import JobTimer
from tzrec.data.prefetch import ReadAhead


def slept(seconds: float, result: int) -> Callable[[], int]:
    def job() -> int:
        time.sleep(seconds)
        return result

    return job


def test_timer_adds_up_jobs_of_a_kind_and_those_that_fail() -> None:
    def fail() -> None:
        time.sleep(0.02)
        raise ValueError("damaged")

    timer = JobTimer()
    assert [timer.call("encode", slept(0.02, number)) for number in (1, 2)] == [1, 2]
    with pytest.raises(ValueError, match="damaged"):
        timer.call("encode", fail)
    assert timer.seconds["encode"] >= 0.06
    assert list(timer.seconds) == ["encode"]


def test_jobs_that_are_read_ahead_count_as_reading() -> None:
    timer = JobTimer()
    assert ReadAhead(timer).submit(slept(0.02, 3))() == 3
    assert timer.seconds["read"] >= 0.02
