from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import log_loss

from tests.fixtures.metrics import compute, compute_ranks
from tzrec.metrics.logloss import LogLoss


def test_value_equals_hand_computed_value() -> None:
    probs, label = torch.tensor([0.5, 0.75, 0.2]), torch.tensor([1, 0, 3])
    expected = (math.log(2) + math.log(4) + math.log(5)) / 3
    assert compute(LogLoss(1), {"probs": probs}, label) == pytest.approx(expected, abs=1e-7)


def test_value_equals_sklearn() -> None:
    torch.manual_seed(0)
    probs, label = torch.rand(1000), torch.randint(2, (1000,))
    probs[:2], label[:2] = torch.tensor([0.0, 1.0]), torch.tensor([1, 0])  # sure and wrong
    expected = log_loss(label, probs.numpy())
    assert compute(LogLoss(1), {"probs": probs}, label, 7) == pytest.approx(expected, abs=1e-6)
    assert compute_ranks(lambda: LogLoss(1), {"probs": probs}, label) == pytest.approx([expected] * 3, abs=1e-6)


def test_value_of_classes_equals_sklearn() -> None:
    torch.manual_seed(0)
    probs, label = torch.randn(500, 4).double().softmax(1), torch.randint(4, (500,))
    expected = log_loss(label, probs.numpy(), labels=[0, 1, 2, 3])
    assert compute(LogLoss(4), {"probs": probs}, label, 3) == pytest.approx(expected, abs=1e-6)


def test_value_without_rows_is_nan() -> None:
    assert math.isnan(LogLoss(1).compute())
