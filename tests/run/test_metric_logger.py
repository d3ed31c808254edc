"""Means between two log lines, and when a run is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tzrec import env
from tzrec.checkpoint.position import Position
from tzrec.data.batch import Cursor
from tzrec.distributed import group
from tzrec.run.metric_logger import MetricLogger, StopCondition
from tzrec.run.train import StepSync, sync_step


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    group.init(env.rank_info())
    yield
    group.close()


def test_losses_are_means_over_rows() -> None:
    meter = MetricLogger(StopCondition(10))
    meter.add({"a": torch.tensor(1.0)}, rows=3, all_rows=3)
    meter.add({"a": torch.tensor(2.0)}, rows=1, all_rows=1)
    log = meter.read(Position(1), [0.1], {})
    assert log.losses == {"a": 1.25}
    assert log.rates == (0.1,)
    meter.add({"a": torch.tensor(4.0)}, rows=2, all_rows=2)
    assert meter.read(Position(2), [0.1], {}).losses == {"a": 4.0}, "it begins anew after each log"


def test_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tzrec.run.metric_logger.time.perf_counter", lambda: now[0])
    meter = MetricLogger(StopCondition(20))
    for _ in range(4):
        meter.add({"a": torch.tensor(1.0)}, rows=8, all_rows=16)
    now[0] = 107.0
    meter.without(5.0)  # an evaluation
    log = meter.read(Position(11), [], {"auc": 0.5})
    assert log.speed == 64 / 2
    assert log.eta == 8 * 2 / 4
    assert log.metrics == {"auc": 0.5}


def test_goal() -> None:
    assert not StopCondition(3).is_reached(Position(1))
    assert StopCondition(3).is_reached(Position(2))
    passes = StopCondition(None, 2)
    assert not passes.is_reached(Position(50, Cursor(1, 99)))
    assert passes.is_reached(Position(50, Cursor(2, 0)))
    assert not passes.is_reached(Position(0, Cursor(4, 0), first_epoch=3)), "one pass of this run"


def test_agreement() -> None:
    losses = {"a": torch.tensor(1.0), "b": torch.tensor(2.0)}
    assert sync_step(losses, 7, 0) == StepSync(finite=True, rows=7, stop=False, ranks=1)
    assert sync_step(losses, 7, 15).stop
    for strange in ("nan", "inf", "-inf"):
        assert not sync_step({**losses, "c": torch.tensor(float(strange))}, 7, 0).finite


def test_every_row_weighs_the_same() -> None:
    """Ranks with 3 rows and 1 row: the mean of 3/2 times one mean and 1/2 times the other is the mean of four rows."""
    agreed = StepSync(finite=True, rows=4, stop=False, ranks=2)
    first, second = 5.0, 1.0  # mean losses
    assert (agreed.share(3) * first + agreed.share(1) * second) / 2 == (3 * first + 1 * second) / 4
