"""Schedules compared with values computed by hand."""

from __future__ import annotations

import pytest

from tzrec.errors import ConfigError
from tzrec.optim.schedule import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestartsLR,
    ExponentialDecayLR,
    ManualStepLR,
    Schedule,
    schedule,
)
from tzrec.protos import optimizer_pb2 as pb


def rates(lr_schedule: Schedule, base: float, *times: int) -> list[float]:
    return [lr_schedule.lr(base, t) for t in times]


def test_constant_rate_is_base_rate() -> None:
    assert rates(ConstantLR(), 0.3, 0, 10**6) == [0.3, 0.3]


def test_exponential_decay_with_staircase_and_warm_up() -> None:
    lr_schedule = ExponentialDecayLR(decay_size=10, decay_factor=0.5, warmup_size=4, warmup_learning_rate=0.2)
    # warm-up 0.2 -> 1.0 over 4: 0.2, 0.4, 0.6, 0.8; then 1 for ten steps, 0.5 for ten, 0.25 ...
    assert rates(lr_schedule, 1.0, 0, 1, 3, 4, 13, 14, 23, 24) == pytest.approx([0.2, 0.4, 0.8, 1, 1, 0.5, 0.5, 0.25])


def test_exponential_decay_without_staircase_stops_at_minimum() -> None:
    lr_schedule = ExponentialDecayLR(decay_size=2, decay_factor=0.25, staircase=False, min_learning_rate=0.1)
    # 0.25 ** (t / 2) = 0.5 ** t
    assert rates(lr_schedule, 1.0, 0, 1, 2, 3, 4) == pytest.approx([1, 0.5, 0.25, 0.125, 0.1])


def test_manual_steps_switch_after_schedule_sizes() -> None:
    lr_schedule = ManualStepLR([10, 20], [0.5, 0.25])
    assert rates(lr_schedule, 1.0, 0, 10, 11, 20, 21, 99) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_manual_steps_with_warm_up_reach_first_rate() -> None:
    lr_schedule = ManualStepLR([4, 8], [2.0, 0.5], warmup=True)
    assert rates(lr_schedule, 1.0, 0, 1, 2, 4, 5, 9) == pytest.approx([1, 1.25, 1.5, 2, 2, 0.5])


def test_cosine_annealing_with_warm_up() -> None:
    lr_schedule = CosineAnnealingLR(T_max=4, min_learning_rate=0.2, warmup_size=2)
    # warm-up 0, 0.5; then 0.2 + 0.8 * (1 + cos(k pi / 4)) / 2: 1, 0.6 + 0.4 * sqrt(1/2), 0.6, ..., 0.2 for ever
    assert rates(lr_schedule, 1.0, 0, 1, 2, 3, 4, 6, 60) == pytest.approx([0, 0.5, 1, 0.8828427, 0.6, 0.2, 0.2])


@pytest.mark.parametrize(
    ("mult", "starts"),
    [(1, [0, 4, 8, 12, 4000]), (2, [0, 4, 12, 28])],  # periods 4, 4, 4 ...; 4, 8, 16 ...
)
def test_cosine_annealing_restarts_after_periods(mult: int, starts: list[int]) -> None:
    lr_schedule = CosineAnnealingWarmRestartsLR(T_0=4, T_mult=mult)
    assert rates(lr_schedule, 1.0, *starts) == [1.0] * len(starts)
    assert lr_schedule.lr(1.0, 2) == pytest.approx(0.5)
    assert lr_schedule.lr(1.0, 4 + 2 * mult) == pytest.approx(0.5)


def test_schedule_is_built_from_message() -> None:
    config = pb.SparseOptimizer()
    assert schedule(config) == ConstantLR()
    config.exponential_decay_learning_rate.decay_size = 7
    config.exponential_decay_learning_rate.by_epoch = True
    lr_schedule = schedule(config)
    assert lr_schedule == ExponentialDecayLR(decay_size=7, by_epoch=True)
    assert lr_schedule.lr(0.001, 7) == 0.001 * 0.95  # the decimal 0.95, not the float32 nearest to it


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("exponential_decay_learning_rate {}", "decay_size must be at least 1; received 0"),
        ("cosine_annealing_learning_rate {}", "T_max must be at least 1; received 0"),
        ("cosine_annealing_warm_restarts_learning_rate { T_0: 2 T_mult: 0 }", "T_mult must be at least 1"),
        ("manual_step_learning_rate { schedule_sizes: [1, 2] learning_rates: [1.0] }", "received 1 and 2"),
    ],
)
def test_invalid_schedules_are_rejected(text: str, received: str) -> None:
    from google.protobuf import text_format

    with pytest.raises(ConfigError, match=received):
        schedule(text_format.Parse(text, pb.DenseOptimizer()))
