"""Steering: what evaluations and the clock say about how long and how fast to train.

It is told of evaluations and asked by the loop; it touches nothing. All ranks are told the same numbers, so that they
decide alike; the clock is each rank's own, and ranks agree on it as on signals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from tzrec.config.kwargs import kwargs
from tzrec.protos.train_pb2 import TrainConfig


class Watched:
    """One result of evaluation: its best value so far, and how many evaluations since then have been no better.

    Args:
        metric: its name.
        larger_is_better: which way is better.
        min_delta: how much better than the best a value must be to count; one that is not a number never does.
        patience: evaluations in a row that may be no better.
    """

    def __init__(self, metric: str, larger_is_better: bool, min_delta: float, patience: int) -> None:
        self._metric, self._sign, self._min_delta = metric, 1 if larger_is_better else -1, min_delta
        self._patience = patience
        self._best = math.nan
        self._stale = 0

    @property
    def exhausted(self) -> bool:
        """Whether patience is at its end."""
        return self._stale >= self._patience

    def see(self, metrics: Mapping[str, float]) -> None:
        """Take an evaluation in."""
        value = metrics[self._metric]
        first = math.isnan(self._best) and not math.isnan(value)
        if first or self._sign * (value - self._best) > self._min_delta:
            self._best, self._stale = value, 0
        else:
            self._stale += 1

    def forgive(self) -> None:
        """Count anew; the best stays."""
        self._stale = 0

    def numbers(self) -> dict[str, float]:
        """Its state by name."""
        best = {} if math.isnan(self._best) else {f"{self._metric}.best": self._best}
        return {**best, f"{self._metric}.stale": self._stale}

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Go on from what `numbers` gave."""
        self._best = numbers.get(f"{self._metric}.best", math.nan)
        self._stale = int(numbers.get(f"{self._metric}.stale", 0))

    def __str__(self) -> str:
        times = f"{self._stale} evaluation{'s' if self._stale != 1 else ''}"
        return f"{self._metric} has not been better than {self._best:.8g} for {times}"


class TrainingControl:
    """Early stopping, reduction of the learning rates on a plateau, and a limit of time.

    Attributes:
        factor: what all learning rates are multiplied by.

    Args:
        train: what is wanted; nothing by default.
        now: the time in seconds.
    """

    def __init__(self, train: TrainConfig, now: Callable[[], float] = time.monotonic) -> None:
        self.factor = 1.0
        self._stopping = _watched(train, "early_stopping")
        self._plateau = _watched(train, "reduce_on_plateau")
        self._reduction: Mapping[str, Any] = kwargs(train.reduce_on_plateau)
        self._now = now
        self._end = now() + 60 * train.max_minutes if train.HasField("max_minutes") else math.inf

    @property
    def enough(self) -> bool:
        """Whether evaluations have stopped getting better."""
        return self._stopping is not None and self._stopping.exhausted

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self._now() >= self._end

    def on_evaluation(self, metrics: Mapping[str, float]) -> list[str]:
        """Take an evaluation in; lines that say what follows from it."""
        said = []
        if self._plateau is not None:
            self._plateau.see(metrics)
            lowered = max(self.factor * self._reduction["factor"], self._reduction["min_factor"])
            if self._plateau.exhausted and lowered < self.factor:
                self.factor = lowered
                said.append(f"rate   {self._plateau}: all learning rates times {self.factor:g} from here on")
                self._plateau.forgive()
        if self._stopping is not None:
            self._stopping.see(metrics)
            if self.enough:
                said.append(f"stop   {self._stopping}")
        return said

    def numbers(self) -> dict[str, float]:
        """Its state by name."""
        found = {"reduce_on_plateau.factor": self.factor}
        for name, watched in self._all():
            found |= {f"{name}.{key}": value for key, value in watched.numbers().items()}
        return found

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Go on from what `numbers` gave; what is missing begins anew."""
        if self._plateau is not None:
            self.factor = numbers.get("reduce_on_plateau.factor", 1.0)
        for name, watched in self._all():
            head = f"{name}."
            watched.set_numbers({key.removeprefix(head): numbers[key] for key in numbers if key.startswith(head)})

    def _all(self) -> list[tuple[str, Watched]]:
        both = (("early_stopping", self._stopping), ("reduce_on_plateau", self._plateau))
        return [(name, watched) for name, watched in both if watched is not None]


def _watched(train: TrainConfig, field: str) -> Watched | None:
    if not train.HasField(field):  # type: ignore[arg-type]  # the stubs know the names one by one
        return None
    said = kwargs(getattr(train, field))
    return Watched(**{name: said[name] for name in ("metric", "larger_is_better", "min_delta", "patience")})
