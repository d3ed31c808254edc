from __future__ import annotations

import pytest
import torch

from tests.modules.steps import LENGTHS, rows, sample, softmax
from tzrec.modules.sequence_pooling import DotAttention, Pooling, attend


@pytest.mark.parametrize("mean", [False, True])
def test_pooling(mean: bool) -> None:
    _, sequence, lengths = sample(1, 3)
    pooled = Pooling(3, mean)(None, sequence, lengths)
    for row, steps in enumerate(rows(sequence)):
        total = sum(steps, torch.zeros(3, dtype=torch.float64))
        expected = total / len(steps) if mean and steps else total
        torch.testing.assert_close(pooled[row], expected)


def test_what_stands_behind_the_end_does_not_count() -> None:
    _, sequence, lengths = sample(1, 3)
    short = torch.clamp(lengths, max=2)  # steps 3 and following are no zeros
    for module in (Pooling(3, True), DotAttention(3)):
        query = torch.ones(4, 3, dtype=torch.float64)
        torch.testing.assert_close(module(query, sequence, short), module(query, sequence[:, :2], short))


def test_dot_attention() -> None:
    query, sequence, lengths = sample(3, 3)
    received = DotAttention(3)(query, sequence, lengths)
    for row, steps in enumerate(rows(sequence)):
        shares = softmax([float(query[row] @ step) for step in steps])
        expected = sum((a * s for a, s in zip(shares, steps, strict=True)), torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(received[row], expected)


def test_no_step_learns_from_an_empty_row() -> None:
    """Zero comes out, and zero goes back, not NaN."""
    _, sequence, lengths = sample(3, 3)
    scores = torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
    received = attend(scores, sequence, lengths)
    assert received[LENGTHS.index(0)].eq(0).all()
    received.sum().backward()
    assert scores.grad is not None
    assert scores.grad[LENGTHS.index(0)].eq(0).all()
    assert torch.isfinite(scores.grad).all()


def test_half_precision_scores_are_normalised_in_single() -> None:
    _, sequence, lengths = sample(3, 3)
    scores = torch.zeros(4, 5, dtype=torch.float16)
    received = attend(scores, sequence.float(), lengths)
    torch.testing.assert_close(received, Pooling(3, True)(None, sequence.float(), lengths))
