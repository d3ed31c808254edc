"""Mean, standard deviation and range of numbers that arrive in pieces."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


class Moments:
    """Mean and sum of squared deviations, merged as in Chan, Golub and LeVeque, 1979, without loss of precision.

    Attributes:
        count: number of numbers.
        mean: their mean.
        least, most: their range.
        least_positive: the least positive number; infinite if there is none.
    """

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        self.least, self.most, self.least_positive = math.inf, -math.inf, math.inf

    @property
    def deviation(self) -> float:
        """Standard deviation of the population."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add one or more finite numbers."""
        part = Moments()
        part.count, part.mean = len(values), float(values.mean())
        part._squares = float(np.square(values - part.mean).sum())
        part.least, part.most = float(values.min()), float(values.max())
        part.least_positive = float(values.min(where=values > 0, initial=math.inf))
        self.merge(part)

    def merge(self, other: Moments) -> None:
        """Add the numbers of another one."""
        if not other.count:
            return
        total, distance = self.count + other.count, other.mean - self.mean
        self._squares += other._squares + distance * distance * self.count * other.count / total
        self.mean += distance * other.count / total
        self.count = total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.least_positive = min(self.least_positive, other.least_positive)
