"""Interval between checkpoints."""

from __future__ import annotations

from tzrec.checkpoint.cadence import Cadence


def test_cadence_by_steps_is_due_at_multiples() -> None:
    cadence = Cadence(steps=3)
    assert [step for step in range(10) if cadence.after_step(step)] == [3, 6, 9]
    assert not cadence.after_epoch(3)


def test_cadence_by_epochs_ignores_steps() -> None:
    cadence = Cadence(steps=3, epochs=2)
    assert not any(cadence.after_step(step) for step in range(10))
    assert [epoch for epoch in range(1, 7) if cadence.after_epoch(epoch)] == [2, 4, 6]


def test_cadence_of_zero_steps_is_never_due() -> None:
    assert not any(Cadence(steps=0).after_step(step) for step in range(10))
