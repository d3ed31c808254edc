"""Early stopping, learning rate reduction on a plateau, and a time limit.

The training loop passes evaluations in and reads the result; nothing here changes the model. All ranks pass the same
metrics and so decide alike. Each rank reads its own clock; ranks agree on the time limit as they do on signals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from tzrec.config.kwargs import kwargs
from tzrec.protos.train_pb2 import TrainConfig


class MetricTracker:
    """Best value of an evaluation metric, and the number of evaluations in a row that were not better.

    Args:
        metric: name of the metric.
        larger_is_better: direction of improvement.
        min_delta: a value counts as better if it exceeds the best by more than this; NaN never does.
        patience: evaluations in a row without improvement after which patience is exhausted.
    """

    def __init__(self, metric: str, larger_is_better: bool, min_delta: float, patience: int) -> None:
        self._metric, self._sign, self._min_delta = metric, 1 if larger_is_better else -1, min_delta
        self._patience = patience
        self._best = math.nan
        self._num_stale = 0

    @property
    def is_exhausted(self) -> bool:
        """True once `patience` evaluations in a row brought no improvement."""
        return self._num_stale >= self._patience

    def update(self, metrics: Mapping[str, float]) -> None:
        """Record an evaluation."""
        value = metrics[self._metric]
        is_first = math.isnan(self._best) and not math.isnan(value)
        if is_first or self._sign * (value - self._best) > self._min_delta:
            self._best, self._num_stale = value, 0
        else:
            self._num_stale += 1

    def reset_patience(self) -> None:
        """Restart the count of evaluations without improvement; keep the best value."""
        self._num_stale = 0

    def state_dict(self) -> dict[str, float]:
        best = {} if math.isnan(self._best) else {f"{self._metric}.best": self._best}
        return {**best, f"{self._metric}.stale": self._num_stale}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Restore; the state of another metric leaves this one as new."""
        self._best = state.get(f"{self._metric}.best", math.nan)
        self._num_stale = int(state.get(f"{self._metric}.stale", 0))

    def __str__(self) -> str:
        evaluations = f"{self._num_stale} evaluation{'s' if self._num_stale != 1 else ''}"
        return f"{self._metric} did not improve on {self._best:.8g} for {evaluations}"


class EarlyStopping:
    """Stops a run once a metric has not improved for `patience` evaluations.

    Args:
        tracker: the metric with its patience.
    """

    def __init__(self, tracker: MetricTracker) -> None:
        self._tracker = tracker

    @property
    def should_stop(self) -> bool:
        return self._tracker.is_exhausted

    def on_evaluation(self, metrics: Mapping[str, float]) -> list[str]:
        """Record an evaluation; return the log lines that follow from it."""
        self._tracker.update(metrics)
        return [f"stop   {self._tracker}"] if self.should_stop else []

    def state_dict(self) -> dict[str, float]:
        return self._tracker.state_dict()

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self._tracker.load_state_dict(state)


class ReduceLROnPlateau:
    """Multiplies all learning rates by `factor` whenever a metric has not improved for `patience` evaluations.

    torch's scheduler of the same name counts patience differently: it reduces one evaluation later.

    Attributes:
        factor: the product so far, by which all learning rates are multiplied.

    Args:
        tracker: the metric with its patience.
        factor: of one reduction.
        min_factor: lower limit of the product.
    """

    def __init__(self, tracker: MetricTracker, factor: float, min_factor: float) -> None:
        self.factor = 1.0
        self._tracker, self._step_factor, self._min_factor = tracker, factor, min_factor

    def on_evaluation(self, metrics: Mapping[str, float]) -> list[str]:
        """Record an evaluation; return the log lines that follow from it."""
        self._tracker.update(metrics)
        reduced = max(self.factor * self._step_factor, self._min_factor)
        if not self._tracker.is_exhausted or reduced >= self.factor:
            return []
        self.factor = reduced
        line = f"rate   {self._tracker}: the learning rate factor is now {self.factor:g}"
        self._tracker.reset_patience()
        return [line]

    def state_dict(self) -> dict[str, float]:
        return {"factor": self.factor, **self._tracker.state_dict()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.factor = state.get("factor", 1.0)
        self._tracker.load_state_dict(state)


class TimeLimit:
    """Ends a process after some minutes; every process starts with its full time, so that there is no state to save.

    Args:
        minutes: None for no limit.
        now: clock in seconds.
    """

    def __init__(self, minutes: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = math.inf if minutes is None else now() + 60 * minutes

    @property
    def is_reached(self) -> bool:
        return self._now() >= self._end

    @property
    def seconds_left(self) -> float:
        """Seconds to the limit; infinite without one."""
        return max(self._end - self._now(), 0.0)

    def state_dict(self) -> dict[str, float]:
        return {}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Do nothing."""


class TrainingControl:
    """Combination of the rules that end a run early or lower its learning rates; each is optional.

    `state_dict` has the keys of a checkpoint manifest, such as `early_stopping.auc.best`.
    """

    def __init__(
        self,
        early_stopping: EarlyStopping | None = None,
        reduce_on_plateau: ReduceLROnPlateau | None = None,
        time_limit: TimeLimit | None = None,
    ) -> None:
        self._early_stopping = early_stopping
        self._reduce_on_plateau = reduce_on_plateau
        self._time_limit = time_limit or TimeLimit(None)

    @classmethod
    def from_config(cls, train: TrainConfig) -> TrainingControl:
        """Build the rules that a config sets; the time limit starts now."""
        minutes = train.max_minutes if train.HasField("max_minutes") else None
        stopping = plateau = None
        if train.HasField("early_stopping"):
            stopping = EarlyStopping(_tracker(kwargs(train.early_stopping)))
        if train.HasField("reduce_on_plateau"):
            options = kwargs(train.reduce_on_plateau)
            plateau = ReduceLROnPlateau(_tracker(options), options["factor"], options["min_factor"])
        return cls(stopping, plateau, TimeLimit(minutes))

    @property
    def factor(self) -> float:
        """Factor by which all learning rates are multiplied."""
        return self._reduce_on_plateau.factor if self._reduce_on_plateau else 1.0

    @property
    def should_stop(self) -> bool:
        """True once early stopping has ended the run."""
        return self._early_stopping is not None and self._early_stopping.should_stop

    @property
    def is_time_over(self) -> bool:
        return self._time_limit.is_reached

    @property
    def seconds_left(self) -> float:
        """Seconds to the time limit; infinite without one."""
        return self._time_limit.seconds_left

    def on_evaluation(self, metrics: Mapping[str, float]) -> list[str]:
        """Record an evaluation; return the log lines that follow from it."""
        rules = (self._reduce_on_plateau, self._early_stopping)
        return [line for rule in rules if rule is not None for line in rule.on_evaluation(metrics)]

    def state_dict(self) -> dict[str, float]:
        state = {"reduce_on_plateau.factor": self.factor}
        for name, rule in self._rules().items():
            state |= {f"{name}.{key}": value for key, value in rule.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Restore; a rule without an entry starts as new."""
        for name, rule in self._rules().items():
            prefix = f"{name}."
            rule.load_state_dict({key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)})

    def _rules(self) -> dict[str, EarlyStopping | ReduceLROnPlateau | TimeLimit]:
        rules = {
            "early_stopping": self._early_stopping,
            "reduce_on_plateau": self._reduce_on_plateau,
            "time_limit": self._time_limit,
        }
        return {name: rule for name, rule in rules.items() if rule is not None}


def _tracker(options: Mapping[str, Any]) -> MetricTracker:
    return MetricTracker(**{name: options[name] for name in ("metric", "larger_is_better", "min_delta", "patience")})
