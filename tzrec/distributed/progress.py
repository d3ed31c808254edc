"""Place of this rank in the run, for the other ranks: costs a few assignments where it changes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class RankProgress:
    """Number of common places that this rank has passed, and the last one.

    All ranks pass the same places in the same order, so a rank with a smaller count has not arrived yet.

    Attributes:
        count: places passed.
        place: the last one.
        step: number of the training step, 0 outside of training.
        since: monotonic time of the arrival.
        work: pieces of work that ranks do in different numbers, such as batches of a prediction.
    """

    count: int = 0
    place: str = "the start"
    step: int = 0
    since: float = field(default_factory=time.monotonic)
    work: int = 0

    def arrive(self, place: str, step: int = 0) -> None:
        """Pass a common place."""
        self.place, self.step, self.since = place, step, time.monotonic()
        self.count += 1  # last, so that a thread that sees the count sees the rest as well

    def advance(self) -> None:
        """Count a piece of work between two places."""
        self.work += 1
        self.since = time.monotonic()

    def __str__(self) -> str:
        return f"{self.place} of step {self.step}" if self.step else self.place
