from __future__ import annotations

import math

import pytest
import torch

from tests.fixtures.metrics import compute, compute_ranks
from tzrec.metrics.calibration import Calibration


def test_value_equals_hand_computed_value() -> None:
    probs, label = torch.tensor([0.5, 0.25, 0.75, 0.5]), torch.tensor([1, 0, 0, 0])
    assert compute(Calibration(1), {"probs": probs}, label, 2) == 2.0
    assert compute(Calibration(2), {"probs1": probs}, torch.tensor([1, 1, 0, 5])) == 2 / 3


def test_merge_of_ranks_equals_all_rows() -> None:
    torch.manual_seed(0)
    probs, label = torch.rand(1000), torch.randint(2, (1000,))
    expected = probs.double().sum().item() / label.sum().item()
    assert compute_ranks(lambda: Calibration(1), {"probs": probs}, label) == pytest.approx([expected] * 3, abs=1e-12)


def test_value_without_a_positive_is_nan() -> None:
    assert math.isnan(compute(Calibration(1), {"probs": torch.tensor([0.5])}, torch.tensor([0])))
