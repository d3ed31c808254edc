"""Moments: mean, standard deviation and range of numbers that come in pieces."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


class Moments:
    """Mean and sum of squared deviations, put together as by Chan, Golub and LeVeque, 1979, which loses no digits.

    Attributes:
        count: how many numbers there were.
        mean: of all.
        least, most: their range.
        least_positive: the least one above 0; infinite if there is none.
    """

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        self.least, self.most, self.least_positive = math.inf, -math.inf, math.inf

    @property
    def deviation(self) -> float:
        """Standard deviation of the population."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take in one or more finite numbers."""
        part = Moments()
        part.count, part.mean = len(values), float(values.mean())
        part._squares = float(np.square(values - part.mean).sum())
        part.least, part.most = float(values.min()), float(values.max())
        part.least_positive = float(values.min(where=values > 0, initial=math.inf))
        self.merge(part)

    def merge(self, other: Moments) -> None:
        """Take in what another one has seen."""
        if not other.count:
            return
        total, apart = self.count + other.count, other.mean - self.mean
        self._squares += other._squares + apart * apart * self.count * other.count / total
        self.mean += apart * other.count / total
        self.count = total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.least_positive = min(self.least_positive, other.least_positive)
