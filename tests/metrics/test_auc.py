from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tzrec.metrics import roc
from tzrec.metrics.auc import AUC


def auc(probs: torch.Tensor, label: torch.Tensor, thresholds: int, batches: int = 1) -> float:
    metric = AUC(1, thresholds)
    for scores, labels in zip(probs.chunk(batches), label.chunk(batches), strict=True):
        metric.update({"probs": scores}, labels)
    return metric.compute()


def trapezoids(probs: np.ndarray, label: np.ndarray, thresholds: int) -> float:
    """Compute the area under the points (FPR, TPR) and (0, 0), threshold by threshold."""
    points = [(0.0, 0.0)]
    for cut in reversed(torch.linspace(0, 1, thresholds).numpy()):
        above = probs >= cut
        points.append(((above & (label == 0)).sum() / (label == 0).sum(), (above & (label == 1)).sum() / label.sum()))
    return sum((x1 - x0) * (y1 + y0) / 2 for (x0, y0), (x1, y1) in pairwise(points))


def test_exact_value_equals_hand_computed_value() -> None:
    """Pairs of positives 0.8, 0.4 and negatives 0.4, 0.2, 0.9: 0 + 1 + 1 of 0.8 and 0 + 0.5 + 1 of 0.4: 3.5 of 6."""
    probs = torch.tensor([0.8, 0.4, 0.4, 0.2, 0.9])
    assert auc(probs, torch.tensor([1, 1, 0, 0, 0]), 0) == pytest.approx(3.5 / 6, abs=1e-12)


def test_binned_value_equals_hand_computed_value() -> None:
    """Cuts at 0, 0.5, 1: 0.8 ties with 0.9 and 0.4 with both others, so 0.5 + 1 + 1 and 0 + 0.5 + 0.5: 3.5 of 6.

    0.45 instead of 0.4 for the positive wins exactly, and ties still in its bin.
    """
    label = torch.tensor([1, 1, 0, 0, 0])
    assert auc(torch.tensor([0.8, 0.4, 0.4, 0.2, 0.9]), label, 3) == pytest.approx(3.5 / 6, abs=1e-12)
    assert auc(torch.tensor([0.8, 0.45, 0.4, 0.2, 0.9]), label, 3) == pytest.approx(3.5 / 6, abs=1e-12)
    assert auc(torch.tensor([0.8, 0.45, 0.4, 0.2, 0.9]), label, 0) == pytest.approx(4 / 6, abs=1e-12)


@pytest.mark.parametrize("distinct", [3, 50, 10**6])
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_exact_value_equals_sklearn(distinct: int, share: float) -> None:
    probs = torch.randint(distinct, (3000,)) / distinct
    label = (torch.rand(3000) < share * (0.5 + probs)).long()
    assert auc(probs, label, 0, batches=7) == pytest.approx(roc_auc_score(label, probs), abs=1e-9)


@pytest.mark.parametrize("thresholds", [1, 2, 17, 200])
def test_binned_value_equals_the_definition(thresholds: int) -> None:
    probs = torch.cat([torch.rand(2000), torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5])])
    label = (torch.rand(2005) < probs).long()
    expected = trapezoids(probs.numpy(), label.numpy(), thresholds)
    assert auc(probs, label, thresholds, batches=3) == pytest.approx(expected, abs=1e-12)


def test_default_has_200_thresholds() -> None:
    probs, label = torch.rand(500), torch.randint(2, (500,))
    metric = AUC(1)
    metric.update({"probs": probs}, label)
    assert metric.compute() == auc(probs, label, 200) != auc(probs, label, 0)


@pytest.mark.parametrize("thresholds", [0, 200])
def test_two_classes_read_probs1(thresholds: int) -> None:
    metric = AUC(2, thresholds)
    probs1 = torch.tensor([0.9, 0.1])
    metric.update({"probs": torch.stack([1 - probs1, probs1], 1), "probs1": probs1}, torch.tensor([1, 0]))
    assert metric.compute() == 1.0


@pytest.mark.parametrize("thresholds", [0, 200])
@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_value_without_both_labels_is_nan(thresholds: int, labels: list[int]) -> None:
    assert math.isnan(auc(torch.full((len(labels),), 0.5), torch.tensor(labels), thresholds))


@pytest.mark.parametrize("thresholds", [0, 200])
def test_value_of_nan_scores_is_nan(thresholds: int) -> None:
    assert math.isnan(auc(torch.tensor([0.1, 0.9, math.nan]), torch.tensor([0, 1, 1]), thresholds))


@pytest.mark.parametrize("thresholds", [0, 200])
def test_merge_of_ranks_equals_all_rows(thresholds: int) -> None:
    """Three ranks with different numbers of rows, one without any, have the area of all rows."""
    probs, label = torch.rand(1000), torch.randint(2, (1000,))
    ranks = [AUC(1, thresholds) for _ in range(3)]
    for rank, rows in ((0, slice(0, 300)), (2, slice(300, 1000))):
        ranks[rank].update({"probs": probs[rows]}, label[rows])
    states = [rank.state() for rank in ranks]
    for rank in ranks:
        rank.merge(states)
        assert rank.compute() == auc(probs, label, thresholds)


@pytest.mark.parametrize("thresholds", [0, 200])
def test_reset_removes_all_counts(thresholds: int) -> None:
    metric = AUC(1, thresholds)
    metric.update({"probs": torch.tensor([0.9, 0.1])}, torch.tensor([0, 1]))
    assert metric.compute() == 0.0
    metric.reset()
    metric.update({"probs": torch.tensor([0.9, 0.1])}, torch.tensor([1, 0]))
    assert metric.compute() == 1.0


def test_exact_state_grows_with_distinct_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 rows with 1000 distinct scores have 1000 counts, also after a merge of ranks."""
    monkeypatch.setattr(roc, "_BUFFER_ROWS", 10_000)
    probs = torch.rand(1000)[torch.randint(1000, (200_000,))]
    label = (torch.rand(200_000) < probs).long()
    ranks = [AUC(1, 0) for _ in range(2)]
    for batch, (scores, labels) in enumerate(zip(probs.chunk(100), label.chunk(100), strict=True)):
        ranks[batch % 2].update({"probs": scores}, labels)
        assert sum(len(scores) for scores, _ in ranks[batch % 2].roc.counts[0]._buffer) <= 10_000
    states = [rank.state() for rank in ranks]
    assert [len(state["scores0"]) for state in states] == [1000, 1000]
    assert sum(int(state["rows0"].sum()) for state in states) == 200_000
    ranks[0].merge(states)
    assert ranks[0].compute() == pytest.approx(roc_auc_score(label, probs), abs=1e-9)
    assert len(ranks[0].state()["scores0"]) == 1000


def test_exact_state_keeps_one_nan_score() -> None:
    metric = AUC(1, 0)
    metric.update({"probs": torch.full((1000,), math.nan)}, torch.arange(1000) % 2)
    assert len(metric.state()["scores0"]) == 1
    assert math.isnan(metric.compute())


def test_remark_names_scores_in_one_bin() -> None:
    metric = AUC(1, 200)
    metric.update({"probs": torch.tensor([0.001, 0.002, 0.003, 0.5])}, torch.tensor([0, 1, 0, 1]))
    expected = "3 of 4 scores fall into one of 200 bins and count as ties; thresholds: 0 computes the exact area"
    assert metric.remark() == expected
    metric.update({"probs": torch.tensor([0.6, 0.7])}, torch.tensor([0, 1]))
    assert metric.remark() == "", "half of the scores"
    exact = AUC(1, 0)
    exact.update({"probs": torch.tensor([0.5, 0.5])}, torch.tensor([0, 1]))
    assert exact.remark() == ""
    assert AUC(1, 200).remark() == ""
