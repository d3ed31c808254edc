from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch

from tests.fixtures.metrics import compute, compute_ranks, grouped_rows
from tzrec.metrics.mrr import MRR


def naive(predictions: dict[str, torch.Tensor], label: torch.Tensor, top_k: int) -> float:
    """Compute the definition group by group."""
    values = []
    for group in predictions["group"].unique():
        member = predictions["group"] == group
        truth, probs = label[member] > 0, predictions["probs"][member]
        if group < 0 or not truth.any():
            continue
        best = probs[truth].max()
        above, tie = int((probs > best).sum()), probs == best
        rank = above + (int(tie.sum()) + 1) / (int((tie & truth).sum()) + 1)
        values.append(1 / rank if not top_k or rank <= top_k else 0.0)
    return sum(values) / len(values)


def test_value_equals_hand_computed_value() -> None:
    """Group 1 has its first positive at rank 2, group 4 at rank 1, group 2 has none."""
    probs, label = torch.tensor([0.9, 0.8, 0.5, 0.7, 0.3]), torch.tensor([0, 2, 0, 1, 1])
    predictions = {"probs": probs, "group": torch.tensor([1, 1, 2, 1, 4])}
    assert compute(MRR(1, "user"), predictions, label) == 0.75
    assert compute(MRR(1, "user", top_k=1), predictions, label) == 0.5


def test_rank_in_a_tie_is_the_mean_over_all_orders() -> None:
    """One row above, then a tie of 3 negatives and 2 positives."""
    orders = list(permutations([0, 0, 0, 1, 1]))
    rank = 1 + sum(order.index(1) + 1 for order in orders) / len(orders)
    predictions = {"probs": torch.tensor([0.9] + [0.5] * 5), "group": torch.ones(6, dtype=torch.int64)}
    result = compute(MRR(1, "user"), predictions, torch.tensor([0, 0, 1, 0, 1, 0]))
    assert result == pytest.approx(1 / rank, abs=1e-12)


@pytest.mark.parametrize("distinct", [1, 3, 10**6])
@pytest.mark.parametrize("groups", [1, 10, 300])
@pytest.mark.parametrize("top_k", [0, 1, 5])
def test_value_equals_the_definition(distinct: int, groups: int, top_k: int) -> None:
    predictions, label = grouped_rows(distinct, groups, n=800)
    result = compute(MRR(1, "user", top_k), predictions, label, num_batches=7)
    assert result == pytest.approx(naive(predictions, label, top_k), abs=1e-9)


def test_merge_of_ranks_equals_all_rows() -> None:
    predictions, label = grouped_rows(50, 100)
    expected = compute(MRR(1, "user"), predictions, label)
    assert compute_ranks(lambda: MRR(1, "user"), predictions, label) == pytest.approx([expected] * 3, abs=1e-12)


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_value_without_a_positive_is_nan(labels: list[int]) -> None:
    predictions = {"probs": torch.rand(len(labels)), "group": torch.ones(len(labels), dtype=torch.int64)}
    assert math.isnan(compute(MRR(1, "user"), predictions, torch.tensor(labels)))
