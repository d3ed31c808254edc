from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from tzrec.metrics.accuracy import Accuracy

PROBS = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1], [0.7, 0.2, 0.1]])


def accuracy(metric: Accuracy, probs: torch.Tensor, label: torch.Tensor) -> float:
    metric.update({"probs": probs}, label)
    return metric.compute()


def test_value_with_threshold_equals_hand_computed_value() -> None:
    """A probability equal to the threshold is a 0."""
    probs, label = torch.tensor([0.5, 0.6, 0.2, 0.9]), torch.tensor([0, 1, 1, 1])
    assert accuracy(Accuracy(1), probs, label) == 0.75
    assert accuracy(Accuracy(1, threshold=0.1), probs, label) == 0.75
    assert accuracy(Accuracy(1, threshold=0.7), probs, label) == 0.5


def test_value_with_threshold_equals_sklearn() -> None:
    probs, label = torch.rand(1000), torch.randint(2, (1000,))
    assert accuracy(Accuracy(1, threshold=0.3), probs, label) == accuracy_score(label, probs > 0.3)


def test_value_with_top_k_equals_hand_computed_value() -> None:
    label = torch.tensor([0, 2, 0, 2])
    assert accuracy(Accuracy(3), PROBS, label) == 0.25  # predicted 0 0 1 0
    assert accuracy(Accuracy(3, top_k=2), PROBS, label) == 0.75  # {0 1} {0 2} {1 0} {0 1}
    assert accuracy(Accuracy(3, top_k=3), PROBS, label) == 1.0


def test_value_with_top_k_equals_sklearn() -> None:
    probs, label = torch.rand(1000, 5), torch.randint(5, (1000,))
    assert accuracy(Accuracy(5, top_k=2), probs, label) == pytest.approx(top_k_accuracy_score(label, probs, k=2))


def test_value_of_equal_probabilities_is_not_one() -> None:
    assert accuracy(Accuracy(4), torch.full((8, 4), 0.25), torch.arange(8) % 4) == 0.25


def test_merge_of_ranks_equals_all_rows() -> None:
    """1 of 1 and 0 of 3 are 1 of 4, not a half; a rank without rows has no effect."""
    ranks = [Accuracy(1) for _ in range(3)]
    ranks[0].update({"probs": torch.tensor([0.9])}, torch.tensor([1]))
    ranks[2].update({"probs": torch.full((3,), 0.9)}, torch.zeros(3, dtype=torch.long))
    states = [rank.state() for rank in ranks]
    for rank in ranks:
        rank.merge(states)
        assert rank.compute() == 0.25
    ranks[0].reset()
    assert math.isnan(ranks[0].compute())
