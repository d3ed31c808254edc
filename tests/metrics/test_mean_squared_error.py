from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import mean_squared_error

from tzrec.metrics.mean_squared_error import MeanSquaredError


def test_value_equals_hand_computed_value() -> None:
    metric = MeanSquaredError(1)
    metric.update({"y": torch.tensor([1.0, -2.0])}, torch.tensor([0.5, 1.0]))
    metric.update({"y": torch.tensor([4.0])}, torch.tensor([4.0]))
    assert metric.compute() == (0.25 + 9.0 + 0.0) / 3


def test_value_equals_sklearn() -> None:
    y, label = torch.randn(1000), torch.randn(1000)
    metric = MeanSquaredError(1)
    for part, labels in zip(y.chunk(3), label.chunk(3), strict=True):
        metric.update({"y": part}, labels)
    assert metric.compute() == pytest.approx(mean_squared_error(label.double(), y.double()), abs=1e-12)


def test_sums_are_in_float64() -> None:
    """Sums in float32 would lose the last rows."""
    metric = MeanSquaredError(1)
    metric.update({"y": torch.full((200_000,), 1000.0)}, torch.full((200_000,), 999.9))
    error = 1000.0 - torch.tensor(999.9).double().item()
    assert metric.compute() == pytest.approx(error**2, rel=1e-12)


def test_merge_of_ranks_equals_all_rows() -> None:
    """Errors 1 and 3, 3, 3: the mean over rows, not over ranks."""
    ranks = [MeanSquaredError(1) for _ in range(2)]
    ranks[0].update({"y": torch.tensor([1.0])}, torch.tensor([0.0]))
    ranks[1].update({"y": torch.full((3,), 3.0)}, torch.zeros(3))
    ranks[0].merge([rank.state() for rank in ranks])
    assert ranks[0].compute() == 7.0
    ranks[0].reset()
    assert math.isnan(ranks[0].compute())
