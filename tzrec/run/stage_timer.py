"""StageTimer: time of the training loop by stage."""

from __future__ import annotations

import time
from collections import defaultdict

STAGES = ("data", "forward", "exchange", "backward", "update", "log", "save", "evaluation")
"""Stages of the loop: waiting for the next batch; forward pass with the exchange of embeddings; exchange of facts about
the step; backward pass; update of the parameters; log lines; checkpoints; evaluations."""


class StageTimer:
    """Seconds of the main thread of rank 0 by stage.

    On a GPU a stage is the time for which the thread was busy with it: kernels run later, and the stage that waits for
    them is longer.

    Attributes:
        seconds: by stage, since the start of the loop.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.start()

    def start(self) -> None:
        """Begin a stage now; the time since the last one belongs to none."""
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage; the next one begins."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now
