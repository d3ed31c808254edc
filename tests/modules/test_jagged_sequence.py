from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from tests.fixtures.padded_sequences import LENGTHS, elements_by_row, from_padded, sample, softmax
from tzrec.modules.jagged_sequence import JaggedSequence


def example(seed: int = 0) -> tuple[JaggedSequence, Tensor]:
    _, sequence, lengths = sample(1, 3, seed)
    return from_padded(sequence, lengths), sequence


def assert_same(received: JaggedSequence, expected: JaggedSequence) -> None:
    for field in fields(received):
        assert torch.equal(getattr(received, field.name), getattr(expected, field.name)), field.name


def test_sequence_of_padded_and_of_jagged_elements_is_the_same() -> None:
    sequence, padded = example()
    assert sequence.rows.tolist() == [1, 2, 2, 2, 3, 3, 3, 3, 3]
    assert sequence.positions.tolist() == [0, 0, 1, 2, 0, 1, 2, 3, 4]
    assert torch.equal(sequence.values, torch.cat([padded[row, :length] for row, length in enumerate(LENGTHS)]))
    assert_same(JaggedSequence.of(sequence.values, torch.tensor(LENGTHS)), sequence)
    assert torch.equal(sequence.padded(7)[:, :5], padded)
    assert sequence.padded(7)[:, 5:].eq(0).all()


def test_first_elements_equal_those_of_slice() -> None:
    sequence, padded = example()
    assert_same(sequence.first(2), from_padded(padded[:, :2], torch.tensor(LENGTHS)))
    assert_same(sequence.first(9), sequence)


def test_rank_counts_earlier_elements_of_row() -> None:
    sequence, _ = example()
    mask = torch.tensor([True, False, True, True, True, True, False, False, True])
    assert sequence.rank(mask).tolist() == [0, 0, 0, 1, 0, 1, 2, 2, 2]
    assert sequence.select(mask).rows.tolist() == [1, 2, 2, 3, 3, 3]
    assert sequence.select(mask).positions.tolist() == [0, 0, 1, 0, 1, 2]
    assert sequence.select(mask).lengths.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("is_shared", [True, False])
def test_attention_of_two_heads_equals_loop(is_shared: bool) -> None:
    """With values of all heads, or of each."""
    sequence, padded = example()
    generator = torch.Generator().manual_seed(5)
    scores = torch.randn(9, 2, generator=generator, dtype=torch.float64) * 50
    values = sequence.values if is_shared else torch.randn(9, 2, 3, generator=generator, dtype=torch.float64)
    received, ends = sequence.attend(scores, values), torch.tensor(LENGTHS).cumsum(0).tolist()
    for row, (end, elements) in enumerate(zip(ends, elements_by_row(padded), strict=True)):
        at = slice(end - len(elements), end)
        for head in (0, 1):
            own = values[at] if is_shared else values[at, head]
            weights = softmax([float(score - scores[at, head].max()) for score in scores[at, head]])
            expected = sum((a * v for a, v in zip(weights, own, strict=True)), torch.zeros(3, dtype=torch.float64))
            torch.testing.assert_close(received[row, head], expected)


def test_attention_gradients_equal_finite_differences() -> None:
    sequence, _ = example()
    scores = torch.randn(9, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sequence.attend, (scores, sequence.values.requires_grad_()))


def test_attention_normalizes_half_precision_scores_in_float32() -> None:
    sequence, _ = example()
    received = sequence.attend(torch.zeros(9, 1, dtype=torch.float16), sequence.values.float())
    torch.testing.assert_close(received[3, 0], sequence.values[4:].float().mean(0))
    assert received[0].eq(0).all()


def test_batch_without_elements_is_zero_with_zero_gradients() -> None:
    values = torch.zeros(0, 3, dtype=torch.float64, requires_grad=True)
    empty = JaggedSequence.of(values, torch.zeros(4, dtype=torch.int32))
    scores = torch.zeros(0, 1, dtype=torch.float64, requires_grad=True)
    for sequence in (empty, empty.first(2)):
        received = sequence.attend(scores, sequence.values)
        assert torch.equal(received, torch.zeros(4, 1, 3, dtype=torch.float64))
        received.sum().backward()
    assert torch.equal(empty.padded(1), torch.zeros(4, 1, 3, dtype=torch.float64))


class Sums(torch.nn.Module):
    """Sums of vectors and of matrices of the elements of each row."""

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(lengths.shape[0]).repeat_interleave(lengths, output_size=values.shape[0])
        sequence = JaggedSequence(values, rows, rows, lengths)
        return sequence.sum(values), sequence.sum(values.unsqueeze(2) * values.unsqueeze(1))


def test_exported_sum_equals_sum_without_adding_at_indices() -> None:
    arguments = torch.randn(6, 3), torch.tensor([2, 0, 3, 1])
    exported = torch.export.export(Sums(), arguments)
    assert "index_add" not in str(exported.graph)
    for received, expected in zip(exported.module()(*arguments), Sums()(*arguments), strict=True):
        torch.testing.assert_close(received, expected)
