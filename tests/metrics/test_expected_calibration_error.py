from __future__ import annotations

import math

import pytest
import torch

from tests.metrics.ranks import merged, score
from tzrec.metrics.expected_calibration_error import ExpectedCalibrationError


def naive(probs: torch.Tensor, label: torch.Tensor, bins: int) -> float:
    """The definition, bin after bin."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = (probs.double() <= high) & ((probs.double() > low) if b else (probs >= 0))
        if inside.any():
            gap = label[inside].double().mean() - probs[inside].double().mean()
            total += inside.double().mean().item() * abs(gap.item())
    return total


def test_by_hand() -> None:
    """Two bins, 0.5 in the lower one: 0.5 and 0.25 promise 0.375 and give 0.5; 0.75 and 1 promise 0.875, give 1/2."""
    probs, label = torch.tensor([0.5, 0.25, 0.75, 1.0]), torch.tensor([1, 0, 0, 2])
    result = score(ExpectedCalibrationError(1, num_bins=2), {"probs": probs}, label)
    assert result == pytest.approx((0.125 + 0.375) / 2, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 15, 100])
def test_equals_the_definition(bins: int) -> None:
    torch.manual_seed(0)
    probs = torch.cat([torch.rand(1000), torch.tensor([0.0, 1.0, 0.5])])
    label = (torch.rand(1003) < probs.square()).long()
    expected = naive(probs, label, bins)
    assert score(ExpectedCalibrationError(1, bins), {"probs": probs}, label, 7) == pytest.approx(expected, abs=1e-12)
    ranks = merged(lambda: ExpectedCalibrationError(2, bins), {"probs1": probs}, label)
    assert ranks == pytest.approx([expected] * 3, abs=1e-12)


def test_is_nan_without_rows() -> None:
    assert math.isnan(ExpectedCalibrationError(1).compute())
