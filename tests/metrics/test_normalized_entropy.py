from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import log_loss

from tests.fixtures.metrics import compute, compute_ranks
from tzrec.metrics.normalized_entropy import NormalizedEntropy


def test_value_equals_hand_computed_value() -> None:
    """Base rate 1/4. Rows lose log 2, log 2, log 2 and log 4."""
    probs, label = torch.tensor([0.5, 0.5, 0.5, 0.75]), torch.tensor([1, 0, 0, 0])
    base = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    result = compute(NormalizedEntropy(1), {"probs": probs}, label)
    assert result == pytest.approx((3 * math.log(2) + math.log(4)) / 4 / base, abs=1e-12)


def test_value_equals_sklearn() -> None:
    torch.manual_seed(0)
    probs, label = torch.rand(1000), (torch.rand(1000) < 0.1).long()
    base = label.double().mean().item()
    expected = log_loss(label, probs) / log_loss(label, torch.full((1000,), base).double())
    assert compute(NormalizedEntropy(1), {"probs": probs}, label, 3) == pytest.approx(expected, abs=1e-6)
    assert compute_ranks(lambda: NormalizedEntropy(2), {"probs1": probs}, label) == pytest.approx(
        [expected] * 3, abs=1e-6
    )


def test_value_of_the_base_rate_is_one() -> None:
    label = torch.tensor([1, 0, 0, 0, 0])
    assert compute(NormalizedEntropy(1), {"probs": torch.full((5,), 0.2)}, label) == pytest.approx(1.0, abs=1e-7)


def test_value_of_one_label_is_bounded_by_eta() -> None:
    eta = 1e-3
    base = -(eta * math.log(eta) + (1 - eta) * math.log(1 - eta))
    result = compute(NormalizedEntropy(1, eta), {"probs": torch.tensor([0.5, 0.5])}, torch.tensor([0, 0]))
    assert result == pytest.approx(math.log(2) / base, rel=1e-9)


def test_value_of_wrong_certainty_is_finite_and_of_no_rows_nan() -> None:
    assert math.isfinite(compute(NormalizedEntropy(1), {"probs": torch.tensor([1.0, 0.0])}, torch.tensor([0, 1])))
    assert math.isnan(NormalizedEntropy(1).compute())
