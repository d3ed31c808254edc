from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from tests.metrics.ranks import merged, score
from tzrec.metrics.recall_at_k import RecallAtK

LOGITS = torch.tensor([[3.0, 2.0, 1.0], [5.0, 1.0, 4.0], [0.0, 7.0, 1.0], [7.0, 2.0, 1.0]])


def test_by_hand() -> None:
    label = torch.tensor([0, 2, 0, 2])
    assert score(RecallAtK(3, top_k=1), {"logits": LOGITS}, label) == 0.25
    assert score(RecallAtK(3, top_k=2), {"logits": LOGITS}, label) == 0.5
    assert score(RecallAtK(3, top_k=3), {"logits": LOGITS}, label) == 1.0


def test_equals_sklearn() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(1000, 8), torch.randint(8, (1000,))
    expected = top_k_accuracy_score(label, logits, k=3)
    assert score(RecallAtK(8, 3), {"logits": logits}, label, 7) == pytest.approx(expected)
    assert merged(lambda: RecallAtK(8, 3), {"logits": logits}, label) == pytest.approx([expected] * 3)


@pytest.mark.parametrize("row", [[1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 2.0]])
def test_ties_count_by_their_chance(row: list[float]) -> None:
    """Column 2 is in the top 2 in so many of all orders that break ties by place."""
    orders = [sorted(range(4), key=lambda c: (-row[c], place[c])).index(2) for place in permutations(range(4))]
    expected = sum(at < 2 for at in orders) / len(orders)
    assert score(RecallAtK(4, 2), {"logits": torch.tensor([row])}, torch.tensor([2])) == pytest.approx(expected)


def test_is_nan_without_rows() -> None:
    assert math.isnan(RecallAtK(4).compute())
