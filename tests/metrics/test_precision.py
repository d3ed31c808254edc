from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import precision_score

from tests.fixtures.metrics import compute, compute_ranks
from tzrec.metrics.precision import Precision


def test_value_equals_hand_computed_value() -> None:
    """A probability equal to the threshold is not above it."""
    probs, label = torch.tensor([0.5, 0.6, 0.7, 0.9]), torch.tensor([1, 1, 0, 2])
    assert compute(Precision(1), {"probs": probs}, label) == pytest.approx(2 / 3)
    assert compute(Precision(1, 0.65), {"probs": probs}, label) == 0.5


def test_value_equals_sklearn() -> None:
    torch.manual_seed(0)
    probs, label = torch.rand(1000), torch.randint(2, (1000,))
    expected = precision_score(label, probs > 0.3)
    assert compute(Precision(1, 0.3), {"probs": probs}, label, 7) == pytest.approx(expected, abs=1e-12)
    assert compute_ranks(lambda: Precision(2, 0.3), {"probs1": probs}, label) == pytest.approx(
        [expected] * 3, abs=1e-12
    )


def test_value_without_a_predicted_positive_is_nan() -> None:
    assert math.isnan(compute(Precision(1), {"probs": torch.tensor([0.1, 0.2])}, torch.tensor([1, 0])))
