from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import ndcg_score

from tests.fixtures.metrics import compute, compute_ranks, grouped_rows
from tzrec.metrics.ndcg import NDCG


def naive(predictions: dict[str, torch.Tensor], label: torch.Tensor, top_k: int) -> float:
    """Compute scikit-learn's value group by group; it does not accept groups of one row, whose value is 1."""
    values = []
    for group in predictions["group"].unique():
        member = predictions["group"] == group
        truth, probs = label[member], predictions["probs"][member]
        if group < 0 or truth.sum() == 0:
            continue
        values.append(ndcg_score([truth.tolist()], [probs.tolist()], k=top_k or None) if len(truth) > 1 else 1.0)
    return sum(values) / len(values)


def test_value_equals_hand_computed_value() -> None:
    """Group 1: gains 0, 2, 1 from the top, at best 2, 1, 0. Group 2 has no gain."""
    probs, label = torch.tensor([0.9, 0.8, 0.5, 0.7]), torch.tensor([0.0, 2.0, 0.0, 1.0])
    predictions = {"probs": probs, "group": torch.tensor([1, 1, 2, 1])}
    third = 1 / math.log2(3)
    expected = (2 * third + 0.5) / (2 + third)
    assert compute(NDCG(1, "user"), predictions, label) == pytest.approx(expected, abs=1e-12)
    assert compute(NDCG(1, "user", top_k=1), predictions, label) == 0.0


@pytest.mark.parametrize("distinct", [1, 3, 10**6])
@pytest.mark.parametrize("groups", [1, 10, 300])
@pytest.mark.parametrize("top_k", [0, 1, 5])
def test_value_equals_sklearn(distinct: int, groups: int, top_k: int) -> None:
    predictions, label = grouped_rows(distinct, groups, n=800)
    label = label * torch.randint(1, 4, label.shape)
    result = compute(NDCG(1, "user", top_k), predictions, label, num_batches=7)
    assert result == pytest.approx(naive(predictions, label, top_k), abs=1e-9)


def test_merge_of_ranks_equals_all_rows() -> None:
    predictions, label = grouped_rows(50, 100)
    expected = compute(NDCG(1, "user"), predictions, label)
    assert compute_ranks(lambda: NDCG(1, "user"), predictions, label) == pytest.approx([expected] * 3, abs=1e-12)


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_value_without_gain_is_nan(labels: list[int]) -> None:
    predictions = {"probs": torch.rand(len(labels)), "group": torch.ones(len(labels), dtype=torch.int64)}
    assert math.isnan(compute(NDCG(1, "user"), predictions, torch.tensor(labels)))
