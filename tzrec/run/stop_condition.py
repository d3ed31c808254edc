"""StopCondition: the rule that ends a run."""

from __future__ import annotations

from dataclasses import dataclass

from tzrec.checkpoint.position import Position


@dataclass(frozen=True)
class StopCondition:
    """Number of steps or epochs after which a run ends.

    Attributes:
        num_steps: total steps; None if unknown, as with epochs whose batches are cut by cost.
        num_epochs: total epochs over the present files; None if `num_steps` decides.
        num_rows: rows of an epoch; None if unknown.
        has_early_end: early stopping or a time limit may end the run before.
    """

    num_steps: int | None
    num_epochs: int | None = None
    num_rows: int | None = None
    has_early_end: bool = False

    def is_reached(self, position: Position) -> bool:
        if self.num_epochs is not None:
            return position.data_epochs >= self.num_epochs
        return self.num_steps is not None and position.steps >= self.num_steps

    def fraction(self, position: Position) -> float | None:
        """Return the share of the run that is done, from 0 to 1; None if unknown."""
        if self.num_steps:
            return min(position.steps / self.num_steps, 1.0)
        if self.num_epochs and self.num_rows:
            return min((position.data_epochs + position.cursor.row / self.num_rows) / self.num_epochs, 1.0)
        return None
