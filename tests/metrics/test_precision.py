from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import precision_score

from tests.metrics.ranks import merged, score
from tzrec.metrics.precision import Precision


def test_by_hand() -> None:
    """A probability equal to the threshold is not above it."""
    probs, label = torch.tensor([0.5, 0.6, 0.7, 0.9]), torch.tensor([1, 1, 0, 2])
    assert score(Precision(1), {"probs": probs}, label) == pytest.approx(2 / 3)
    assert score(Precision(1, 0.65), {"probs": probs}, label) == 0.5


def test_equals_sklearn() -> None:
    torch.manual_seed(0)
    probs, label = torch.rand(1000), torch.randint(2, (1000,))
    expected = precision_score(label, probs > 0.3)
    assert score(Precision(1, 0.3), {"probs": probs}, label, 7) == pytest.approx(expected, abs=1e-12)
    assert merged(lambda: Precision(2, 0.3), {"probs1": probs}, label) == pytest.approx([expected] * 3, abs=1e-12)


def test_is_nan_when_nothing_is_said_to_be_positive() -> None:
    assert math.isnan(score(Precision(1), {"probs": torch.tensor([0.1, 0.2])}, torch.tensor([1, 0])))
