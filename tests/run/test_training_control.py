"""When evaluations stop a run or slow it down: by hand, and against torch's ReduceLROnPlateau."""

from __future__ import annotations

import math

import pytest
import torch
from google.protobuf import text_format

from tzrec.protos.train_pb2 import TrainConfig
from tzrec.run.training_control import TrainingControl

NAN = math.nan


def steering(text: str) -> TrainingControl:
    return TrainingControl(text_format.Parse(text, TrainConfig()))


def stops_after(text: str, values: list[float]) -> int | None:
    """The evaluation, counted from 1, after which a run stops."""
    made = steering(f"early_stopping {{ metric: 'auc' {text} }}")
    for number, value in enumerate(values, start=1):
        assert not made.enough
        made.on_evaluation({"auc": value, "loss": -value})
        if made.enough:
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
def test_stops_when_patience_is_at_its_end(text: str, values: list[float], expected: int | None) -> None:
    assert stops_after(text, values) == expected


def test_says_why() -> None:
    made = steering("early_stopping { metric: 'auc' patience: 1 }")
    assert made.on_evaluation({"auc": 0.75}) == []
    assert made.on_evaluation({"auc": 0.5}) == ["stop   auc has not been better than 0.75 for 1 evaluation"]


def test_a_plateau_lowers_the_rates_down_to_the_least() -> None:
    made = steering("reduce_on_plateau { metric: 'auc' patience: 2 factor: 0.25 min_factor: 0.1 }")
    factors, said = [], []
    for value in (0.6, 0.5, 0.5, 0.7, 0.6, 0.7, 0.7, 0.7, 0.7):
        said += made.on_evaluation({"auc": value})
        factors.append(made.factor)
    assert factors == [1, 1, 0.25, 0.25, 0.25, 0.1, 0.1, 0.1, 0.1]
    assert said == [
        "rate   auc has not been better than 0.6 for 2 evaluations: all learning rates times 0.25 from here on",
        "rate   auc has not been better than 0.7 for 2 evaluations: all learning rates times 0.1 from here on",
    ]


@pytest.mark.parametrize("larger", [True, False])
def test_a_plateau_is_what_torch_takes_for_one(larger: bool) -> None:
    """torch waits for more bad evaluations than its patience, we for as many as ours."""
    text = f"patience: 3 min_delta: 0.25 factor: 0.5 min_factor: 0 larger_is_better: {str(larger).lower()}"
    ours = steering(f"reduce_on_plateau {{ metric: 'auc' {text} }}")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if larger else "min", factor=0.5, patience=2, threshold=0.25, threshold_mode="abs"
    )
    for value in torch.randint(-20, 20, (60,), generator=torch.Generator().manual_seed(1)).tolist():
        ours.on_evaluation({"auc": float(value)})
        theirs.step(float(value))
        assert ours.factor == optimizer.param_groups[0]["lr"]
    assert ours.factor < 2**-10


def test_goes_on_from_its_numbers() -> None:
    text = "early_stopping { metric: 'auc' patience: 5 } reduce_on_plateau { metric: 'loss' larger_is_better: false }"
    values = [0.5, NAN, 0.4, 0.6, 0.6, 0.5, 0.55, 0.58, 0.6]
    for cut in range(len(values)):
        whole, first, second = steering(text), steering(text), steering(text)
        for value in values:
            whole.on_evaluation({"auc": value, "loss": -value})
        for value in values[:cut]:
            first.on_evaluation({"auc": value, "loss": -value})
        second.set_numbers(first.numbers())
        for value in values[cut:]:
            second.on_evaluation({"auc": value, "loss": -value})
        assert second.numbers() == whole.numbers()
        assert second.enough
        assert whole.enough
    assert whole.factor == 0.125


def test_another_metric_begins_anew() -> None:
    old, new = (steering(f"early_stopping {{ metric: '{each}' patience: 1 }}") for each in ("loss", "auc"))
    old.on_evaluation({"loss": 5.0})
    new.set_numbers(old.numbers())
    new.on_evaluation({"auc": 0.5})
    assert not new.enough


def test_time() -> None:
    seconds = 100.0
    made = TrainingControl(TrainConfig(max_minutes=0.5), lambda: seconds)
    seconds = 129.9
    assert not made.late
    seconds = 130.0
    assert made.late
    assert not TrainingControl(TrainConfig(), lambda: seconds).late


def test_nothing_is_steered_unless_asked() -> None:
    made = steering("")
    assert made.on_evaluation({"auc": 0.5}) == []
    assert (made.enough, made.late, made.factor) == (False, False, 1.0)
