from __future__ import annotations

import pytest
import torch

from tests.fixtures.padded_sequences import LENGTHS, elements_by_row, sample, softmax
from tzrec.modules.sequence_pooling import DotAttention, Pooling, attention_pooling


@pytest.mark.parametrize("mean", [False, True])
def test_pooling_equals_loop(mean: bool) -> None:
    _, sequence, lengths = sample(1, 3)
    pooled = Pooling(3, mean)(None, sequence, lengths)
    for row, elements in enumerate(elements_by_row(sequence)):
        total = sum(elements, torch.zeros(3, dtype=torch.float64))
        expected = total / len(elements) if mean and elements else total
        torch.testing.assert_close(pooled[row], expected)


@pytest.mark.parametrize("mean", [False, True])
def test_pooling_of_ones_is_one_or_the_length(mean: bool) -> None:
    pooled = Pooling(16, mean)(None, torch.ones(4, 10, 16), torch.tensor([2, 3, 4, 5]))
    expected = torch.ones(4) if mean else torch.tensor([2.0, 3.0, 4.0, 5.0])
    assert torch.equal(pooled, expected.unsqueeze(1).expand(4, 16))


def test_attention_pooling_of_very_low_scores_masks_padding() -> None:
    """Scores below any fixed number are normalized among themselves."""
    _, sequence, lengths = sample(3, 3)
    received = attention_pooling(torch.full((4, 5), -3e38), sequence.float(), lengths)
    torch.testing.assert_close(received, Pooling(3, True)(None, sequence.float(), lengths))


def test_pooling_ignores_values_after_end() -> None:
    _, sequence, lengths = sample(1, 3)
    short = torch.clamp(lengths, max=2)  # the elements after these are not zero
    for module in (Pooling(3, True), DotAttention(3)):
        query = torch.ones(4, 3, dtype=torch.float64)
        torch.testing.assert_close(module(query, sequence, short), module(query, sequence[:, :2], short))


def test_dot_attention_equals_loop() -> None:
    query, sequence, lengths = sample(3, 3)
    received = DotAttention(3)(query, sequence, lengths)
    for row, elements in enumerate(elements_by_row(sequence)):
        weights = softmax([float(query[row] @ element) for element in elements])
        expected = sum((a * s for a, s in zip(weights, elements, strict=True)), torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(received[row], expected)


def test_attention_pooling_of_empty_row_has_zero_gradient() -> None:
    """Output and gradient are zero, not NaN."""
    _, sequence, lengths = sample(3, 3)
    scores = torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
    received = attention_pooling(scores, sequence, lengths)
    assert received[LENGTHS.index(0)].eq(0).all()
    received.sum().backward()
    assert scores.grad is not None
    assert scores.grad[LENGTHS.index(0)].eq(0).all()
    assert torch.isfinite(scores.grad).all()


def test_attention_pooling_normalizes_half_precision_scores_in_float32() -> None:
    _, sequence, lengths = sample(3, 3)
    scores = torch.zeros(4, 5, dtype=torch.float16)
    received = attention_pooling(scores, sequence.float(), lengths)
    torch.testing.assert_close(received, Pooling(3, True)(None, sequence.float(), lengths))
