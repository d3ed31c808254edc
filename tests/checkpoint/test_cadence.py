"""When a checkpoint is due."""

from __future__ import annotations

from tzrec.checkpoint.cadence import Cadence


def test_by_steps() -> None:
    cadence = Cadence(steps=3)
    assert [step for step in range(10) if cadence.after_step(step)] == [3, 6, 9]
    assert not cadence.after_epoch(3)


def test_by_passes() -> None:
    cadence = Cadence(steps=3, epochs=2)
    assert not any(cadence.after_step(step) for step in range(10))
    assert [done for done in range(1, 7) if cadence.after_epoch(done)] == [2, 4, 6]


def test_never() -> None:
    assert not any(Cadence(steps=0).after_step(step) for step in range(10))
