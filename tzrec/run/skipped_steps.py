"""SkippedSteps: counts of the steps of a run that were not applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SkippedSteps:
    """Steps that were not applied because their losses or gradients were not finite.

    Attributes:
        num_steps: of a run and those that it continues.
        num_rows: rows of these steps on all ranks.
        first_step: number of the first one.
        num_consecutive: skipped steps since the last one that was applied, in this run.
        num_new: skipped steps of this run.
        num_applied: applied steps of this run.
        num_trained_rows: rows of these steps on all ranks.
    """

    num_steps: int = 0
    num_rows: int = 0
    first_step: int = 0
    num_consecutive: int = 0
    num_new: int = 0
    num_applied: int = 0
    num_trained_rows: int = 0

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, float]) -> SkippedSteps:
        """Continue the counts of a checkpoint; those that it lacks start at 0."""
        return cls(*(int(numbers.get(name, 0)) for name in _NAMES))

    def numbers(self) -> dict[str, float]:
        """Counts of a checkpoint by name; none if no step was skipped."""
        counts = (self.num_steps, self.num_rows, self.first_step)
        return dict(zip(_NAMES, map(float, counts), strict=True)) if self.num_steps else {}

    def after_skip(self, step: int, num_rows: int) -> SkippedSteps:
        """Count a step with rows of all ranks that was skipped."""
        return replace(
            self,
            num_steps=self.num_steps + 1,
            num_rows=self.num_rows + num_rows,
            first_step=self.first_step if self.num_steps else step,
            num_consecutive=self.num_consecutive + 1,
            num_new=self.num_new + 1,
        )

    def after_step(self, num_rows: int) -> SkippedSteps:
        """Count a step with rows of all ranks that was applied."""
        applied, rows = self.num_applied + 1, self.num_trained_rows + num_rows
        return replace(self, num_consecutive=0, num_applied=applied, num_trained_rows=rows)

    def __str__(self) -> str:
        steps, rows = f"step{'s' * (self.num_steps != 1)}", f"row{'s' * (self.num_rows != 1)}"
        return f"skipped {self.num_steps:,} {steps}, {self.num_rows:,} {rows}, first at step {self.first_step:,}"


_NAMES = ("skipped_steps", "skipped_rows", "first_skipped_step")
