from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.fixtures.padded_sequences import LENGTHS, double, elements_by_row, from_padded, sample, softmax
from tzrec.modules.eta import ETA
from tzrec.modules.jagged_sequence import JaggedSequence


def distance(module: ETA, query: Tensor, element: Tensor) -> int:
    """Number of different bits, bit by bit."""
    columns = module.codes.projections.unbind(1)
    width = len(columns[0])
    return sum(bool(query[:width] @ column > 0) != bool(element[:width] @ column > 0) for column in columns)


def attention(module: ETA, query: Tensor, elements: list[Tensor]) -> Tensor:
    """Target attention head by head."""
    inner, heads = module.attention, []
    size = inner.out_dim // inner.num_heads
    for head in range(inner.num_heads):
        at = slice(head * size, (head + 1) * size)
        projected = inner.query.weight[at] @ query
        scores = [float(projected @ (inner.key.weight[at] @ s)) / math.sqrt(size) for s in elements]
        values = [inner.value.weight[at] @ s for s in elements]
        total = torch.zeros(size, dtype=torch.float64)
        heads.append(sum((a * v for a, v in zip(softmax(scores), values, strict=True)), total))
    return inner.output.weight @ torch.cat(heads)


@pytest.mark.parametrize("top_k", [1, 2, 4, 9])
@pytest.mark.parametrize(("query_dim", "num_bits"), [(4, 3), (3, 16)])
def test_eta_equals_loop(query_dim: int, num_bits: int, top_k: int) -> None:
    """With many equal distances, and with more or fewer elements than are kept."""
    for seed in range(5):
        query, sequence, lengths = sample(query_dim, 4, seed)
        module = double(ETA(query_dim, 4, top_k, num_bits, attn_dim=6, num_heads=2))
        assert isinstance(module, ETA)
        received = module(query, from_padded(sequence, lengths))
        for row, elements in enumerate(elements_by_row(sequence)):
            order = sorted(range(len(elements)), key=lambda t: (distance(module, query[row], elements[t]), t))
            kept = [elements[t] for t in order[:top_k]]
            torch.testing.assert_close(received[row], attention(module, query[row], kept))


def nearest(query: list[float], elements: list[list[float]], top_k: int, projections: Tensor) -> list[bool]:
    module = ETA(len(query), len(elements[0]), top_k, projections.shape[1], attn_dim=2, num_heads=1)
    module.codes.projections.copy_(projections)
    sequence = JaggedSequence.of(torch.tensor(elements), torch.tensor([len(elements)]))
    codes = module.codes(torch.tensor([query])), module.codes(sequence.values)
    kept: list[bool] = module._nearest((codes[0] != codes[1]).sum(1), sequence).tolist()
    return kept


def test_element_with_the_same_code_is_nearer_than_one_with_another_bit() -> None:
    """Distances 1 and 0, with R the identity."""
    assert nearest([1, 1], [[1, -1], [2, 3]], 1, torch.eye(2)) == [False, True]


def test_elements_with_all_bits_different_are_kept_if_there_are_no_others() -> None:
    assert nearest([1, 1], [[-1, -1], [-2, -3]], 1, torch.eye(2)) == [True, False]
    assert nearest([1, 1], [[-1, -1], [-2, -3]], 5, torch.eye(2)) == [True, True]


def test_projections_are_fixed_and_saved() -> None:
    torch.manual_seed(3)
    module = ETA(4, 4, 2, 8, 4, 2)
    torch.manual_seed(3)
    assert torch.equal(ETA(4, 4, 2, 8, 4, 2).codes.projections, module.codes.projections)
    assert "codes.projections" in module.state_dict()
    assert "codes.projections" not in dict(module.named_parameters())


def test_codes_under_autocast_are_those_of_full_precision() -> None:
    _, sequence, _ = sample(4, 4)
    module = ETA(4, 4, 2, 64, 4, 2)
    expected = module.codes(sequence.flatten(0, 1).float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module.codes(sequence.flatten(0, 1).float()), expected)


def test_gradient_of_elements_that_are_not_kept_is_zero() -> None:
    query, sequence, lengths = sample(4, 4)
    module = double(ETA(4, 4, 2, 8, 4, 2))
    module(query, from_padded(sequence.requires_grad_(), lengths)).sum().backward()
    assert sequence.grad is not None
    assert sequence.grad.ne(0).any(2).sum(1).tolist() == [min(2, length) for length in LENGTHS]
