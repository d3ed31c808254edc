"""When a checkpoint is due."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Every so many steps, or passes over the data; 0 for not at all. Passes, where set, replace steps.

    The last step of a run is saved whatever the cadence says.
    """

    steps: int = 1000
    epochs: int = 0

    def after_step(self, step: int) -> bool:
        """Whether to save after step number `step`, counted from 0; never after the very first one."""
        return self.epochs == 0 and self.steps > 0 and step > 0 and step % self.steps == 0

    def after_epoch(self, passes: int) -> bool:
        """Whether to save at the end of a pass, `passes` of them being complete."""
        return self.epochs > 0 and passes % self.epochs == 0
