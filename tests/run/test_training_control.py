"""Early stopping and plateaus: against hand-computed results and torch's ReduceLROnPlateau."""

from __future__ import annotations

import math

import pytest
import torch
from google.protobuf import text_format

from tzrec.protos.train_pb2 import TrainConfig
from tzrec.run.training_control import TimeLimit, TrainingControl

NAN = math.nan


def training_control(text: str) -> TrainingControl:
    return TrainingControl.from_config(text_format.Parse(text, TrainConfig()))


def stops_after(text: str, values: list[float]) -> int | None:
    """Return the evaluation, counted from 1, after which a run stops."""
    control = training_control(f"early_stopping {{ metric: 'auc' {text} }}")
    for number, value in enumerate(values, start=1):
        assert not control.should_stop
        control.on_evaluation({"auc": value, "loss": -value})
        if control.should_stop:
            return number
    return None


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("patience: 2", [0.6, 0.7, 0.69, 0.7], 4),  # as good as the best is no better
        ("patience: 2", [0.6, 0.7, 0.69, 0.71, 0.7, 0.7], 6),
        ("", [0.5, 0.6, 0.6, 0.6, 0.6], 5),
        ("", [0.5, 0.6, 0.7, 0.8], None),
        ("patience: 1 min_delta: 0.25", [0.25, 0.5], 2),  # better by just min_delta is not enough
        ("patience: 2 min_delta: 0.25", [0.25, 0.375, 0.75, 0.875, 1.0], 5),  # each against the best that counted
        ("patience: 2 larger_is_better: false", [0.5, 0.4, 0.45, 0.41], 4),
        ("patience: 2", [NAN, NAN], 2),
        ("patience: 2", [NAN, 0.5, NAN, 0.6, NAN, NAN], 6),
        ("patience: 2", [-1.0, -0.5, -0.7, -0.6], 4),
    ],
)
def test_early_stopping_stops_once_patience_is_exhausted(text: str, values: list[float], expected: int | None) -> None:
    assert stops_after(text, values) == expected


def test_early_stopping_returns_log_line() -> None:
    control = training_control("early_stopping { metric: 'auc' patience: 1 }")
    assert control.on_evaluation({"auc": 0.75}) == []
    assert control.on_evaluation({"auc": 0.5}) == ["stop   auc did not improve on 0.75 for 1 evaluation"]


def test_plateau_reduces_factor_down_to_min_factor() -> None:
    control = training_control("reduce_on_plateau { metric: 'auc' patience: 2 factor: 0.25 min_factor: 0.1 }")
    factors, lines = [], []
    for value in (0.6, 0.5, 0.5, 0.7, 0.6, 0.7, 0.7, 0.7, 0.7):
        lines += control.on_evaluation({"auc": value})
        factors.append(control.factor)
    assert factors == [1, 1, 0.25, 0.25, 0.25, 0.1, 0.1, 0.1, 0.1]
    assert lines == [
        "rate   auc did not improve on 0.6 for 2 evaluations: the learning rate factor is now 0.25",
        "rate   auc did not improve on 0.7 for 2 evaluations: the learning rate factor is now 0.1",
    ]


@pytest.mark.parametrize("larger", [True, False])
def test_plateau_equals_torch_with_smaller_patience(larger: bool) -> None:
    """torch reduces after `patience` + 1 evaluations without improvement, tzrec after `patience`."""
    text = f"patience: 3 min_delta: 0.25 factor: 0.5 min_factor: 0 larger_is_better: {str(larger).lower()}"
    ours = training_control(f"reduce_on_plateau {{ metric: 'auc' {text} }}")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if larger else "min", factor=0.5, patience=2, threshold=0.25, threshold_mode="abs"
    )
    for value in torch.randint(-20, 20, (60,), generator=torch.Generator().manual_seed(1)).tolist():
        ours.on_evaluation({"auc": float(value)})
        theirs.step(float(value))
        assert ours.factor == optimizer.param_groups[0]["lr"]
    assert ours.factor < 2**-10


def test_state_dict_of_any_evaluation_restores_the_control() -> None:
    text = "early_stopping { metric: 'auc' patience: 5 } reduce_on_plateau { metric: 'loss' larger_is_better: false }"
    values = [0.5, NAN, 0.4, 0.6, 0.6, 0.5, 0.55, 0.58, 0.6]
    for cut in range(len(values)):
        whole, first, second = training_control(text), training_control(text), training_control(text)
        for value in values:
            whole.on_evaluation({"auc": value, "loss": -value})
        for value in values[:cut]:
            first.on_evaluation({"auc": value, "loss": -value})
        second.load_state_dict(first.state_dict())
        for value in values[cut:]:
            second.on_evaluation({"auc": value, "loss": -value})
        assert second.state_dict() == whole.state_dict()
        assert second.should_stop
        assert whole.should_stop
    assert whole.factor == 0.125


def test_state_dict_of_another_metric_is_not_restored() -> None:
    old, new = (training_control(f"early_stopping {{ metric: '{each}' patience: 1 }}") for each in ("loss", "auc"))
    old.on_evaluation({"loss": 5.0})
    new.load_state_dict(old.state_dict())
    new.on_evaluation({"auc": 0.5})
    assert not new.should_stop


def test_time_limit_is_reached_after_its_minutes() -> None:
    seconds = 100.0
    limit = TimeLimit(0.5, lambda: seconds)
    seconds = 129.9
    assert not limit.is_reached
    assert limit.seconds_left == pytest.approx(0.1)
    seconds = 130.0
    assert limit.is_reached
    assert limit.seconds_left == 0.0
    assert not TimeLimit(None, lambda: seconds).is_reached


def test_control_without_rules_does_nothing() -> None:
    control = training_control("")
    assert control.on_evaluation({"auc": 0.5}) == []
    assert (control.should_stop, control.is_time_over, control.factor) == (False, False, 1.0)


def test_state_dict_has_keys_of_checkpoint_manifests() -> None:
    control = training_control("early_stopping { metric: 'auc' } reduce_on_plateau { metric: 'loss' }")
    control.on_evaluation({"auc": 0.5, "loss": 1.0})
    assert control.state_dict() == {
        "reduce_on_plateau.factor": 1.0,
        "early_stopping.auc.best": 0.5,
        "early_stopping.auc.stale": 0,
        "reduce_on_plateau.loss.best": 1.0,
        "reduce_on_plateau.loss.stale": 0,
    }
