from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from tests.fixtures.metrics import compute, compute_ranks
from tzrec.metrics.recall_at_k import RecallAtK

LOGITS = torch.tensor([[3.0, 2.0, 1.0], [5.0, 1.0, 4.0], [0.0, 7.0, 1.0], [7.0, 2.0, 1.0]])


def test_value_equals_hand_computed_value() -> None:
    label = torch.tensor([0, 2, 0, 2])
    assert compute(RecallAtK(3, top_k=1), {"logits": LOGITS}, label) == 0.25
    assert compute(RecallAtK(3, top_k=2), {"logits": LOGITS}, label) == 0.5
    assert compute(RecallAtK(3, top_k=3), {"logits": LOGITS}, label) == 1.0


def test_value_equals_sklearn() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(1000, 8), torch.randint(8, (1000,))
    expected = top_k_accuracy_score(label, logits, k=3)
    assert compute(RecallAtK(8, 3), {"logits": logits}, label, 7) == pytest.approx(expected)
    assert compute_ranks(lambda: RecallAtK(8, 3), {"logits": logits}, label) == pytest.approx([expected] * 3)


@pytest.mark.parametrize("row", [[1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 2.0]])
def test_ties_count_by_their_probability(row: list[float]) -> None:
    """Share of the orders of ties in which column 2 is among the top 2."""
    orders = [sorted(range(4), key=lambda c: (-row[c], place[c])).index(2) for place in permutations(range(4))]
    expected = sum(at < 2 for at in orders) / len(orders)
    assert compute(RecallAtK(4, 2), {"logits": torch.tensor([row])}, torch.tensor([2])) == pytest.approx(expected)


def test_value_without_rows_is_nan() -> None:
    assert math.isnan(RecallAtK(4).compute())
