from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.fixtures.metrics import compute, compute_ranks, grouped_rows
from tzrec.metrics.grouped_auc import GroupedAUC


def naive(predictions: dict[str, torch.Tensor], label: torch.Tensor) -> float:
    """Compute scikit-learn's value group by group."""
    areas = []
    for group in predictions["group"].unique():
        member = predictions["group"] == group
        if group >= 0 and label[member].unique().numel() == 2:
            areas.append(roc_auc_score(label[member], predictions["probs"][member]))
    return sum(areas) / len(areas)


def test_value_equals_hand_computed_value() -> None:
    """Group 3: 0.8 and 0.4 over 0.4: 1.5 of 2 pairs. Group 9: 0.2 under 0.3: 0 of 1. Group 5 has no negatives."""
    probs, label = torch.tensor([0.8, 0.2, 0.4, 0.4, 0.3, 0.9]), torch.tensor([1, 1, 1, 0, 0, 1])
    group = torch.tensor([3, 9, 3, 3, 9, 5])
    assert compute(GroupedAUC(1, "user"), {"probs": probs, "group": group}, label) == (0.75 + 0.0) / 2


@pytest.mark.parametrize("distinct", [1, 3, 50, 10**6])
@pytest.mark.parametrize("groups", [1, 10, 700])
def test_value_equals_sklearn(distinct: int, groups: int) -> None:
    predictions, label = grouped_rows(distinct, groups)
    result = compute(GroupedAUC(1, "user"), predictions, label, num_batches=7)
    assert result == pytest.approx(naive(predictions, label), abs=1e-9)


def test_merge_of_ranks_equals_all_rows() -> None:
    predictions, label = grouped_rows(50, 100)
    expected = compute(GroupedAUC(1, "user"), predictions, label)
    assert compute_ranks(lambda: GroupedAUC(1, "user"), predictions, label) == pytest.approx([expected] * 3, abs=1e-12)


def test_rows_without_a_group_are_ignored() -> None:
    predictions = {"probs": torch.tensor([0.9, 0.1, 0.2, 0.8]), "group": torch.tensor([1, 1, -1, -1])}
    assert compute(GroupedAUC(1, "user"), predictions, torch.tensor([1, 0, 1, 0])) == 1.0


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_value_without_both_labels_is_nan(labels: list[int]) -> None:
    predictions = {"probs": torch.rand(len(labels)), "group": torch.ones(len(labels), dtype=torch.int64)}
    assert math.isnan(compute(GroupedAUC(1, "user"), predictions, torch.tensor(labels)))


def test_value_with_a_nan_score_is_nan() -> None:
    predictions = {"probs": torch.tensor([0.9, math.nan]), "group": torch.tensor([1, 1])}
    assert math.isnan(compute(GroupedAUC(1, "user"), predictions, torch.tensor([1, 0])))


def test_two_classes_read_probs1_and_reset_removes_all_rows() -> None:
    metric = GroupedAUC(2, "user")
    predictions = {"probs1": torch.tensor([0.9, 0.1]), "group": torch.tensor([1, 1])}
    assert compute(metric, predictions, torch.tensor([0, 1])) == 0.0
    metric.reset()
    assert compute(metric, predictions, torch.tensor([1, 0])) == 1.0
    assert metric.grouping_key == "user"
