"""Learning rate schedules: pure functions of a base rate and a time.

The time `t` is the number of previous steps, or of complete epochs where `by_epoch` is set; both are part of a
checkpoint, so a resumed run follows the same curve. Classes have the names and fields of their messages.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.errors import ConfigError, Problem


class Schedule(Protocol):
    """Interface of schedules."""

    @property
    def by_epoch(self) -> bool:
        """True if t counts epochs instead of steps."""

    def lr(self, base: float, t: int) -> float:
        """Learning rate at time t; `base` is the rate of the optimizer's message."""


def schedule(optimizer: Message) -> Schedule:
    """Build the schedule of a SparseOptimizer, DenseOptimizer or PartOptimizer; constant if none is set."""
    member = registry.oneof_member(optimizer, "learning_rate")
    if member is None:
        return ConstantLR()
    field, message = member
    schedule_class = registry.resolve_class(optimizer, "learning_rate")
    try:
        return schedule_class(**kwargs(message))
    except ValueError as error:
        raise ConfigError([Problem(field.name, str(error))]) from None


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1; received {value}")


@dataclass(frozen=True)
class ConstantLR:
    """Constant base rate."""

    by_epoch: bool = False

    def lr(self, base: float, t: int) -> float:
        return base


@dataclass(frozen=True)
class _WarmUp:
    """Linear from `warmup_learning_rate` to the base over the first `warmup_size`, then the curve of the subclass."""

    min_learning_rate: float = 0.0
    warmup_learning_rate: float = 0.0
    warmup_size: int = 0
    by_epoch: bool = False

    def lr(self, base: float, t: int) -> float:
        if t < self.warmup_size:
            return self.warmup_learning_rate + (base - self.warmup_learning_rate) * t / self.warmup_size
        return self.warm(base, t - self.warmup_size)

    def warm(self, base: float, t: int) -> float:
        """Learning rate at time t after the warm-up."""
        raise NotImplementedError

    def _half_cosine(self, base: float, share: float) -> float:
        return self.min_learning_rate + (base - self.min_learning_rate) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class ExponentialDecayLR(_WarmUp):
    """max(base * decay_factor ** p, min), p = t / decay_size, rounded down if `staircase`."""

    decay_size: int = 0
    decay_factor: float = 0.95
    staircase: bool = True

    def __post_init__(self) -> None:
        _at_least_one("decay_size", self.decay_size)

    def warm(self, base: float, t: int) -> float:
        power = t // self.decay_size if self.staircase else t / self.decay_size
        return max(base * self.decay_factor**power, self.min_learning_rate)


@dataclass(frozen=True)
class ManualStepLR:
    """Absolute rates: `learning_rates[i]` from `schedule_sizes[i] + 1` on, before that the base.

    With `warmup` the first part runs linearly from the base to `learning_rates[0]`.
    """

    schedule_sizes: Sequence[int] = ()
    learning_rates: Sequence[float] = ()
    warmup: bool = False
    by_epoch: bool = False

    def __post_init__(self) -> None:
        sizes, rates = len(self.schedule_sizes), len(self.learning_rates)
        if not sizes or sizes != rates:
            raise ValueError(f"needs as many learning_rates as schedule_sizes; received {rates} and {sizes}")
        _at_least_one("schedule_sizes[0]", self.schedule_sizes[0])

    def lr(self, base: float, t: int) -> float:
        index = bisect_left(self.schedule_sizes, t)
        if index:
            return self.learning_rates[index - 1]
        return base + (self.learning_rates[0] - base) * t / self.schedule_sizes[0] if self.warmup else base


@dataclass(frozen=True)
class CosineAnnealingLR(_WarmUp):
    """Half a cosine from the base to the minimum over `T_max`, then the minimum (Loshchilov and Hutter, ICLR 2017)."""

    T_max: int = 0

    def __post_init__(self) -> None:
        _at_least_one("T_max", self.T_max)

    def warm(self, base: float, t: int) -> float:
        return self._half_cosine(base, min(t / self.T_max, 1.0))


@dataclass(frozen=True)
class CosineAnnealingWarmRestartsLR(_WarmUp):
    """Half cosines of the lengths T_0, T_0 * T_mult, T_0 * T_mult ** 2 ... (SGDR; Loshchilov and Hutter, ICLR 2017)."""

    T_0: int = 0
    T_mult: int = 1

    def __post_init__(self) -> None:
        _at_least_one("T_0", self.T_0)
        _at_least_one("T_mult", self.T_mult)

    def warm(self, base: float, t: int) -> float:
        period = self.T_0
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t -= period
            period *= self.T_mult
        return self._half_cosine(base, t / period)
