"""WindowedCounts: sums of the last while, forgotten in two steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt


class WindowedCounts:
    """Sum of arrays over a window: that of the current half and of the half before it.

    So it covers between half a window and a whole one.

    Args:
        size: of the arrays `(size,)`.
        window_s: length of the window in seconds.
        clock: returns seconds.
    """

    def __init__(self, size: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._halves = np.zeros((2, size))
        self._half_s, self._clock = window_s / 2, clock
        self._begun_at = clock()

    def add(self, counts: npt.NDArray[Any]) -> None:
        """Add counts `(size,)`."""
        self._forget()
        self._halves[0] += counts

    def total(self) -> npt.NDArray[np.float64]:
        """The sum over the window, `(size,)`."""
        self._forget()
        total: npt.NDArray[np.float64] = self._halves.sum(0)
        return total

    def _forget(self) -> None:
        num_halves = int((self._clock() - self._begun_at) / self._half_s)
        if num_halves == 0:
            return
        self._begun_at += num_halves * self._half_s
        self._halves[1] = self._halves[0] if num_halves == 1 else 0
        self._halves[0] = 0
