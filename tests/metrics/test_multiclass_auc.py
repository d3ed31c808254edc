from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from tzrec.metrics.auc import AUC
from tzrec.metrics.multiclass_auc import MulticlassAUC

PROBS = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1], [0.7, 0.2, 0.1]])
LABEL = torch.tensor([0, 0, 1, 2])


def multiclass_auc(probs: torch.Tensor, label: torch.Tensor, thresholds: int, average: str, batches: int = 1) -> float:
    metric = MulticlassAUC(probs.shape[1], thresholds, average)
    for scores, labels in zip(probs.chunk(batches), label.chunk(batches), strict=True):
        metric.update({"probs": scores}, labels)
    return metric.compute()


def test_value_equals_hand_computed_value() -> None:
    """Class 0: 0.6, 0.5 against 0.2, 0.7: 2 of 4 pairs. Class 1: 3 of 3. Class 2: 0.1 against 0.1, 0.4, 0.1: 1 of 3."""
    assert multiclass_auc(PROBS, LABEL, 0, "macro") == pytest.approx((1 / 2 + 1 + 1 / 3) / 3, abs=1e-12)
    assert multiclass_auc(PROBS, LABEL, 0, "weighted") == pytest.approx((2 * 1 / 2 + 1 + 1 / 3) / 4, abs=1e-12)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_exact_value_equals_sklearn(average: str) -> None:
    probs = torch.softmax(torch.randint(-3, 3, (2000, 4), dtype=torch.float64), 1)
    label = torch.multinomial(probs, 1)[:, 0]
    expected = roc_auc_score(label, probs, multi_class="ovr", average=average)
    assert multiclass_auc(probs, label, 0, average, batches=3) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_binned_value_is_the_mean_of_binned_areas(average: str) -> None:
    probs = torch.softmax(torch.randn(2000, 3), 1)
    label = torch.multinomial(probs, 1)[:, 0]
    total, weight = 0.0, 0.0
    for index in range(3):
        one = AUC(1, 50)
        one.update({"probs": probs[:, index]}, (label == index).long())
        rows = (label == index).sum().item() if average == "weighted" else 1
        total, weight = total + rows * one.compute(), weight + rows
    assert multiclass_auc(probs, label, 50, average, batches=4) == pytest.approx(total / weight, abs=1e-12)


@pytest.mark.parametrize("thresholds", [0, 10**6])
def test_absent_classes_are_ignored(thresholds: int) -> None:
    """Without the row of class 2: class 0 has 0.6, 0.5 over 0.2, class 1 has 0.7 over 0.3, 0.1; both areas are 1."""
    assert multiclass_auc(PROBS[:3], LABEL[:3], thresholds, "macro") == 1.0
    assert math.isnan(multiclass_auc(PROBS[:2], LABEL[:2], thresholds, "macro"))


@pytest.mark.parametrize("thresholds", [0, 200])
def test_merge_of_ranks_equals_all_rows(thresholds: int) -> None:
    probs, label = torch.softmax(torch.randn(300, 3), 1), torch.randint(3, (300,))
    ranks = [MulticlassAUC(3, thresholds) for _ in range(2)]
    ranks[0].update({"probs": probs[:100]}, label[:100])
    ranks[1].update({"probs": probs[100:]}, label[100:])
    ranks[1].merge([rank.state() for rank in ranks])
    assert ranks[1].compute() == multiclass_auc(probs, label, thresholds, "macro")
