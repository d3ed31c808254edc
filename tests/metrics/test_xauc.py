from __future__ import annotations

import math

import pytest
import torch

from tests.fixtures.metrics import compute, compute_ranks, pairwise_order
from tzrec.metrics.xauc import XAUC

ALL = 10**9


def rows(n: int = 300) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Values with ties among labels and among predictions."""
    torch.manual_seed(0)
    label = torch.randint(6, (n,)).float()
    return {"y": torch.round(label + 3 * torch.randn(n))}, label


def test_value_equals_hand_computed_value() -> None:
    """Pairs with an order: (1, 2) right, (1, 5) tied, (2, 5) wrong; and both 2 against the others alike: 4 more."""
    y, label = torch.tensor([1.0, 2.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 5.0, 2.0])
    assert compute(XAUC(1, max_pairs=ALL), {"y": y}, label) == (1 + 0.5 + 0 + 1 + 0) / 5


def test_value_of_all_pairs_equals_the_definition() -> None:
    predictions, label = rows()
    expected = pairwise_order(predictions["y"].tolist(), label.tolist())
    assert compute(XAUC(1, max_pairs=ALL), predictions, label, 7) == pytest.approx(expected, abs=1e-12)
    assert compute(XAUC(1, sample_ratio=1.0), predictions, label, 7) == pytest.approx(expected, abs=1e-12)


def test_sampled_value_is_near_and_deterministic() -> None:
    """30,000 pairs of 44,850: the standard error is 0.003; neither the order of rows nor ranks matter."""
    predictions, label = rows()
    result = compute(XAUC(1, max_pairs=30_000), predictions, label)
    assert abs(result - pairwise_order(predictions["y"].tolist(), label.tolist())) < 0.015
    shuffled = torch.randperm(len(label))
    assert compute(XAUC(1, max_pairs=30_000), {"y": predictions["y"][shuffled]}, label[shuffled]) == result
    assert compute_ranks(lambda: XAUC(1, max_pairs=30_000), predictions, label) == [result] * 3


def test_more_pairs_than_one_chunk_are_counted() -> None:
    predictions, label = rows(2500)  # 3.1 million pairs
    y = predictions["y"]
    ordered = label[:, None] > label
    points = torch.where(y[:, None] == y, 0.5, (y[:, None] > y).double())[ordered]
    assert compute(XAUC(1, max_pairs=ALL), predictions, label) == pytest.approx(points.mean().item(), abs=1e-12)


def test_in_batch_value_is_the_mean_over_batches() -> None:
    predictions, label = rows()
    metric = XAUC(1, max_pairs=ALL, in_batch=True)
    result = compute(metric, predictions, label, 3)
    parts = zip(predictions["y"].chunk(3), label.chunk(3), strict=True)
    values = [pairwise_order(y.tolist(), labels.tolist()) for y, labels in parts]
    assert result == pytest.approx(sum(values) / 3, abs=1e-12)
    metric.update({"y": torch.ones(2)}, torch.ones(2))  # no pair with an order
    assert metric.compute() == result
    other = XAUC(1, max_pairs=ALL, in_batch=True)
    other.merge([metric.state(), XAUC(1, in_batch=True).state()])
    assert other.compute() == result


@pytest.mark.parametrize("labels", [[], [1.0], [2.0, 2.0]])
def test_value_without_an_ordered_pair_is_nan(labels: list[float]) -> None:
    assert math.isnan(compute(XAUC(1), {"y": torch.rand(len(labels))}, torch.tensor(labels)))


def test_value_with_a_nan_score_is_nan_until_reset() -> None:
    metric = XAUC(1, max_pairs=ALL)
    assert math.isnan(compute(metric, {"y": torch.tensor([1.0, math.nan])}, torch.tensor([1.0, 2.0])))
    metric.reset()
    assert compute(metric, {"y": torch.tensor([1.0, 2.0])}, torch.tensor([1.0, 2.0])) == 1.0
