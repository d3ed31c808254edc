"""Means between two log lines, and the stop condition of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tzrec import env
from tzrec.checkpoint.position import Position
from tzrec.data.batch import Cursor
from tzrec.distributed import group
from tzrec.run.metric_logger import MetricLogger, StopCondition
from tzrec.run.step_sync import StepSync, sync_step


@pytest.fixture(autouse=True)
def process_group() -> Iterator[None]:
    group.init(env.rank_info())
    yield
    group.close()


def test_metric_logger_losses_are_means_over_rows() -> None:
    metric_logger = MetricLogger(StopCondition(10))
    metric_logger.update({"a": torch.tensor(1.0)}, 3, 3)
    metric_logger.update({"a": torch.tensor(2.0)}, 1, 1)
    log = metric_logger.compute(Position(1), [0.1], {})
    assert log.losses == {"a": 1.25}
    assert log.learning_rates == (0.1,)
    metric_logger.update({"a": torch.tensor(4.0)}, 2, 2)
    assert metric_logger.compute(Position(2), [0.1], {}).losses == {"a": 4.0}, "sums restart after each log"


def test_metric_logger_throughput_excludes_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tzrec.run.metric_logger.time.perf_counter", lambda: now[0])
    metric_logger = MetricLogger(StopCondition(20))
    for _ in range(4):
        metric_logger.update({"a": torch.tensor(1.0)}, 8, 16)
    now[0] = 107.0
    metric_logger.exclude(5.0)  # an evaluation
    log = metric_logger.compute(Position(11), [], {"auc": 0.5})
    assert log.rows_per_second == 64 / 2
    assert log.eta == 8 * 2 / 4
    assert log.metrics == {"auc": 0.5}


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
