"""Kernels on several threads."""

from __future__ import annotations

import threading

import pytest

from tzrec.ops.threads import run_parts


def test_run_parts_calls_every_part_on_its_thread() -> None:
    barrier, seen = threading.Barrier(3, timeout=30), {}

    def function(part: int, factor: int) -> None:
        barrier.wait()  # all three run at the same time
        seen[part] = part * factor, threading.get_ident()

    run_parts(function, [(part, 10) for part in range(3)])
    assert {part: value for part, (value, _) in seen.items()} == {0: 0, 1: 10, 2: 20}
    assert seen[0][1] == threading.get_ident()
    assert len({thread for _, thread in seen.values()}) == 3


def test_run_parts_raises_error_of_a_part() -> None:
    def function(part: int) -> None:
        if part:
            raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 1"):
        run_parts(function, [(0,), (1,)])


def test_run_parts_without_parts_calls_nothing() -> None:
    run_parts(pytest.fail, [])
