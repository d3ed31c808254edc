from __future__ import annotations

from tzrec.run.skipped_steps import SkippedSteps


def test_counts_continue_with_those_of_a_checkpoint() -> None:
    skipped = SkippedSteps().after_step(64).after_skip(7, 64).after_skip(8, 60)
    assert str(skipped) == "skipped 2 steps, 124 rows, first at step 7"
    assert (skipped.num_consecutive, skipped.num_new, skipped.num_applied, skipped.num_trained_rows) == (2, 2, 1, 64)
    assert skipped.after_step(10).num_consecutive == 0
    restored = SkippedSteps.from_numbers({**skipped.numbers(), "loss_scale": 8.0})
    assert restored == SkippedSteps(2, 124, 7)
    assert str(restored.after_skip(30, 1)) == "skipped 3 steps, 125 rows, first at step 7"


def test_single_step_is_singular_and_none_leaves_no_numbers() -> None:
    assert str(SkippedSteps().after_skip(0, 1)) == "skipped 1 step, 1 row, first at step 0"
    assert SkippedSteps().after_step(5).numbers() == {}
    assert SkippedSteps.from_numbers({}) == SkippedSteps()
