from __future__ import annotations

import pytest
import torch

from tests.fixtures.padded_sequences import elements_by_row, from_padded, sample, softmax
from tzrec.modules.sequence_pooling import DotAttention, Pooling


@pytest.mark.parametrize("mean", [False, True])
def test_pooling_equals_loop(mean: bool) -> None:
    _, sequence, lengths = sample(1, 3)
    pooled = Pooling(3, mean)(None, from_padded(sequence, lengths))
    for row, elements in enumerate(elements_by_row(sequence)):
        total = sum(elements, torch.zeros(3, dtype=torch.float64))
        expected = total / len(elements) if mean and elements else total
        torch.testing.assert_close(pooled[row], expected)


@pytest.mark.parametrize("mean", [False, True])
def test_pooling_of_ones_is_one_or_the_length(mean: bool) -> None:
    pooled = Pooling(16, mean)(None, from_padded(torch.ones(4, 10, 16), torch.tensor([2, 3, 4, 5])))
    expected = torch.ones(4) if mean else torch.tensor([2.0, 3.0, 4.0, 5.0])
    assert torch.equal(pooled, expected.unsqueeze(1).expand(4, 16))


def test_dot_attention_equals_loop() -> None:
    query, sequence, lengths = sample(3, 3)
    received = DotAttention(3)(query, from_padded(sequence, lengths))
    for row, elements in enumerate(elements_by_row(sequence)):
        weights = softmax([float(query[row] @ element) for element in elements])
        expected = sum((a * s for a, s in zip(weights, elements, strict=True)), torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(received[row], expected)
