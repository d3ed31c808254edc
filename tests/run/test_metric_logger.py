"""Means between two log lines, and the stop condition of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tzrec import env
from tzrec.checkpoint.position import Position
from tzrec.data.batch import Cursor
from tzrec.distributed import group
from tzrec.run.metric_logger import MetricLogger
from tzrec.run.step_sync import StepSync, sync_step
from tzrec.run.stop_condition import StopCondition
from tzrec.run.throughput import Throughput


@pytest.fixture(autouse=True)
def process_group() -> Iterator[None]:
    group.init(env.rank_info())
    yield
    group.close()


def test_metric_logger_losses_are_means_over_rows() -> None:
    metric_logger = MetricLogger(StopCondition(10))
    metric_logger.update({"a": torch.tensor(1.0)}, 3)
    metric_logger.update({"a": torch.tensor(2.0)}, 1)
    log = metric_logger.compute(Position(1), [0.1], {})
    assert log.losses == {"a": 1.25}
    assert log.learning_rates == (0.1,)
    metric_logger.update({"a": torch.tensor(4.0)}, 2)
    assert metric_logger.compute(Position(2), [0.1], {}).losses == {"a": 4.0}, "sums restart after each log"


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        for module in ("metric_logger", "throughput"):
            monkeypatch.setattr(f"tzrec.run.{module}.time.perf_counter", lambda: self.now)


def train_step(metric_logger: MetricLogger, clock: Clock, step: int, seconds: float, loss: float = 1.0) -> None:
    clock.now += seconds
    metric_logger.update({"a": torch.tensor(loss)}, 8)
    metric_logger.count(Position(step), 16)


def test_metric_logger_throughput_leaves_out_first_step_and_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    metric_logger = MetricLogger(StopCondition(20))
    train_step(metric_logger, clock, 0, 30.0)
    log = metric_logger.compute(Position(0), [], {})
    assert (log.rows_per_second, log.is_warm_up, log.eta) == (16 / 30, True, None)
    for step in range(1, 5):
        train_step(metric_logger, clock, step, 0.5)
    clock.now += 6.0
    metric_logger.exclude(6.0)  # an evaluation
    log = metric_logger.compute(Position(4), [], {"auc": 0.5})
    assert (log.rows_per_second, log.is_warm_up, log.metrics) == (4 * 16 / 2.0, False, {"auc": 0.5})
    assert log.eta == pytest.approx(15 * 0.5 + 15 * 6.0 / 4), "evaluations are expected to go on"


def test_metric_logger_current_has_rate_and_eta_from_the_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    metric_logger = MetricLogger(StopCondition(20))
    train_step(metric_logger, clock, 0, 30.0, loss=3.0)
    log = metric_logger.current(Position(0), [0.1], {})
    assert (log.losses, log.is_warm_up, log.eta) == ({"a": 3.0}, True, None)
    train_step(metric_logger, clock, 1, 2.0, loss=1.0)
    log = metric_logger.current(Position(1), [0.1], {})
    assert (log.losses, log.rows_per_second, log.is_warm_up) == ({"a": 2.0}, 8.0, False)
    assert log.eta == pytest.approx(18 * 2.0)
    assert metric_logger.compute(Position(1), [0.1], {}).losses == {"a": 2.0}, "nothing was reset"
    train_step(metric_logger, clock, 2, 2.0, loss=7.0)
    assert metric_logger.current(Position(2), [0.1], {}).losses == {"a": 2.0}, "those of all ranks, once there are any"


@pytest.mark.parametrize(("condition", "expected"), [(StopCondition(20), 7.0), (StopCondition(None, 3), 7.0)])
def test_eta_is_no_later_than_the_time_limit(
    condition: StopCondition, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    limited, unlimited = MetricLogger(condition, lambda: 7.0), MetricLogger(condition)
    for step in range(2):
        train_step(limited, clock, step, 1.0)
        train_step(unlimited, clock, step, 1.0)
        assert limited.current(Position(step), [], {}).eta == (expected if step else None)
    eta = unlimited.current(Position(1), [], {}).eta
    assert eta == pytest.approx(36.0) if condition.num_steps else eta is None


def test_throughput_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    throughput = Throughput(StopCondition(None, 2, 1000))
    for step in range(200):
        clock.now += 1.0 if step < 50 else 0.5
        throughput.update(Position(step, Cursor(0, step + 1)), 1)
    assert throughput.rows_per_second == 2.0
    assert throughput.eta == pytest.approx((2000 - 200) * 0.5)


@pytest.mark.parametrize(
    ("condition", "position", "fraction"),
    [
        (StopCondition(10), Position(4), 0.5),
        (StopCondition(10), Position(20), 1.0),
        (StopCondition(None, 2, 100), Position(7, Cursor(1, 50)), 0.75),
        (StopCondition(None, 2, 100), Position(7, Cursor(5, 0), first_epoch=4), 0.5),
        (StopCondition(None, 2), Position(7, Cursor(1, 50)), None),
    ],
)
def test_fraction_of_run_counts_steps_or_rows(
    condition: StopCondition, position: Position, fraction: float | None
) -> None:
    assert condition.fraction(position) == fraction


def test_stop_condition_by_steps_and_by_epochs() -> None:
    assert not StopCondition(3).is_reached(Position(1))
    assert StopCondition(3).is_reached(Position(2))
    epochs = StopCondition(None, 2)
    assert not epochs.is_reached(Position(50, Cursor(1, 99)))
    assert epochs.is_reached(Position(50, Cursor(2, 0)))
    assert not epochs.is_reached(Position(0, Cursor(4, 0), first_epoch=3)), "one epoch of this run"


def test_sync_step_with_nonfinite_loss_is_not_finite() -> None:
    losses = {"a": torch.tensor(1.0), "b": torch.tensor(2.0)}
    assert sync_step(losses, 7, False) == StepSync(is_finite=True, num_rows=7, should_stop=False, num_ranks=1)
    assert sync_step(losses, 7, True).should_stop
    for value in ("nan", "inf", "-inf"):
        assert not sync_step({**losses, "c": torch.tensor(float(value))}, 7, False).is_finite


def test_loss_weight_of_uneven_ranks_weighs_rows_equally() -> None:
    """Ranks with 3 rows and 1 row: the mean of 3/2 times one mean and 1/2 times the other is the mean of four rows."""
    sync = StepSync(is_finite=True, num_rows=4, should_stop=False, num_ranks=2)
    first, second = 5.0, 1.0  # mean losses
    assert (sync.loss_weight(3) * first + sync.loss_weight(1) * second) / 2 == (3 * first + 1 * second) / 4
