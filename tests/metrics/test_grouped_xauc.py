from __future__ import annotations

import math

import pytest
import torch

from tests.fixtures.metrics import compute, compute_ranks, pairwise_order
from tzrec.metrics.grouped_xauc import GroupedXAUC


def rows(groups: int, n: int = 500) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Groups of all sizes, groups of one row, rows without a group, ties everywhere."""
    torch.manual_seed(0)
    label = torch.randint(4, (n,)).float()
    group = (torch.rand(n).square() * (groups + 1)).long() - 1
    return {"y": torch.round(label + 2 * torch.randn(n)), "group": group}, label


def expected(predictions: dict[str, torch.Tensor], label: torch.Tensor) -> float:
    """Compare every pair, group by group."""
    total = weight = 0.0
    for group in predictions["group"].unique():
        member = predictions["group"] == group
        share = pairwise_order(predictions["y"][member].tolist(), label[member].tolist())
        if group >= 0 and not math.isnan(share):
            size = int(member.sum())
            total, weight = total + share * size, weight + size
    return total / weight


def test_value_equals_hand_computed_value() -> None:
    """Group 1 of 3 rows: 1 right, 1 tied, 1 wrong; group 2 of 2 rows: right; group 3 has one row."""
    y, label = torch.tensor([1.0, 2.0, 1.0, 3.0, 4.0, 9.0]), torch.tensor([1.0, 2.0, 5.0, 0.0, 1.0, 1.0])
    predictions = {"y": y, "group": torch.tensor([1, 1, 1, 2, 2, 3])}
    assert compute(GroupedXAUC(1, "user"), predictions, label) == pytest.approx((0.5 * 3 + 1.0 * 2) / 5)


@pytest.mark.parametrize("groups", [1, 5, 80, 400])
def test_value_of_all_pairs_equals_the_definition(groups: int) -> None:
    predictions, label = rows(groups)
    result = compute(GroupedXAUC(1, "user", 10**6), predictions, label, 7)
    assert result == pytest.approx(expected(predictions, label), abs=1e-12)


def test_sampled_value_is_near_and_independent_of_ranks() -> None:
    predictions, label = rows(5)
    result = compute(GroupedXAUC(1, "user", 1000), predictions, label)
    assert abs(result - expected(predictions, label)) < 0.03
    assert compute_ranks(lambda: GroupedXAUC(1, "user", 1000), predictions, label) == [result] * 3


@pytest.mark.parametrize("labels", [[], [1.0], [2.0, 2.0]])
def test_value_without_an_ordered_pair_is_nan(labels: list[float]) -> None:
    predictions = {"y": torch.rand(len(labels)), "group": torch.ones(len(labels), dtype=torch.int64)}
    assert math.isnan(compute(GroupedXAUC(1, "user"), predictions, torch.tensor(labels)))
