"""Interval between checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from tzrec.checkpoint.position import Position


@dataclass(frozen=True)
class Cadence:
    """Interval between checkpoints in steps or epochs. The last step of a run is saved in any case.

    Attributes:
        steps: interval in steps; 0 for none. Has no effect if `epochs` is set.
        epochs: interval in epochs; 0 for none.
    """

    steps: int = 1000
    epochs: int = 0

    def is_due(self, position: Position) -> bool:
        """Return True if a checkpoint is due at a position after a step."""
        is_epoch_end = position.cursor.row == 0
        return self.after_step(position.step) or (is_epoch_end and self.after_epoch(position.epochs))

    def after_step(self, step: int) -> bool:
        """Return True if a checkpoint is due after step number `step`, counted from 0; never after step 0."""
        return self.epochs == 0 and self.steps > 0 and step > 0 and step % self.steps == 0

    def after_epoch(self, num_epochs: int) -> bool:
        """Return True if a checkpoint is due after `num_epochs` complete epochs."""
        return self.epochs > 0 and num_epochs % self.epochs == 0
