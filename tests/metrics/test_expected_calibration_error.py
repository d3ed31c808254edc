from __future__ import annotations

import math

import pytest
import torch

from tests.fixtures.metrics import compute, compute_ranks
from tzrec.metrics.expected_calibration_error import ExpectedCalibrationError


def naive(probs: torch.Tensor, label: torch.Tensor, bins: int) -> float:
    """Compute the definition bin by bin."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = (probs.double() <= high) & ((probs.double() > low) if b else (probs >= 0))
        if inside.any():
            gap = label[inside].double().mean() - probs[inside].double().mean()
            total += inside.double().mean().item() * abs(gap.item())
    return total


def test_value_equals_hand_computed_value() -> None:
    """Two bins, 0.5 in the lower one: probabilities 0.375 and 0.875 on average, half of the labels in each."""
    probs, label = torch.tensor([0.5, 0.25, 0.75, 1.0]), torch.tensor([1, 0, 0, 2])
    result = compute(ExpectedCalibrationError(1, num_bins=2), {"probs": probs}, label)
    assert result == pytest.approx((0.125 + 0.375) / 2, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 15, 100])
def test_value_equals_the_definition(bins: int) -> None:
    torch.manual_seed(0)
    probs = torch.cat([torch.rand(1000), torch.tensor([0.0, 1.0, 0.5])])
    label = (torch.rand(1003) < probs.square()).long()
    expected = naive(probs, label, bins)
    assert compute(ExpectedCalibrationError(1, bins), {"probs": probs}, label, 7) == pytest.approx(expected, abs=1e-12)
    ranks = compute_ranks(lambda: ExpectedCalibrationError(2, bins), {"probs1": probs}, label)
    assert ranks == pytest.approx([expected] * 3, abs=1e-12)


def test_value_without_rows_is_nan() -> None:
    assert math.isnan(ExpectedCalibrationError(1).compute())
