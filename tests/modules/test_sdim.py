from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.fixtures.padded_sequences import elements_by_row, from_padded, sample
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.sdim import SDIM


def naive(module: SDIM, query: Tensor, elements: list[Tensor], dim: int) -> Tensor:
    """Signature by signature and element by element."""
    columns = module.codes.projections.unbind(1)
    width, size = len(columns[0]), module.bits_per_signature
    total = torch.zeros(dim, dtype=query.dtype)
    for begin in range(0, len(columns), size):
        signature = columns[begin : begin + size]
        own = [bool(query[:width] @ column > 0) for column in signature]
        bucket = torch.zeros(dim, dtype=query.dtype)
        for s in elements:
            if [bool(s[:width] @ column > 0) for column in signature] == own:
                bucket = bucket + s
        if bucket.norm() > 0:
            total = total + bucket / bucket.norm()
    return total / (len(columns) // size)


@pytest.mark.parametrize(("query_dim", "num_bits", "size"), [(4, 12, 3), (3, 8, 1), (4, 6, 6)])
def test_sdim_equals_loop(query_dim: int, num_bits: int, size: int) -> None:
    for seed in range(3):
        query, sequence, lengths = sample(query_dim, 4, seed)
        module = SDIM(query_dim, 4, num_bits, size).double()
        received = module(query, from_padded(sequence, lengths))
        for row, elements in enumerate(elements_by_row(sequence)):
            torch.testing.assert_close(received[row], naive(module, query[row], elements, 4))


def test_sdim_of_two_elements_equals_hand_computation() -> None:
    """Sums of the two buckets [3, 2] and [2, 3], both of norm sqrt(13)."""
    module = SDIM(2, 2, 2, 1)
    module.codes.projections.copy_(torch.eye(2))
    sequence = JaggedSequence.of(torch.tensor([[1.0, -1.0], [2.0, 3.0]]), torch.tensor([2]))
    received = module(torch.tensor([[1.0, 1.0]]), sequence)
    torch.testing.assert_close(received, torch.full((1, 2), 2.5 / math.sqrt(13)))
    assert round(received[0, 0].item(), 4) == 0.6934


def test_share_of_signatures_is_the_power_of_the_angle() -> None:
    """Two of 20,000 signatures of 3 bits, for elements at 60 degrees and at 90 degrees to the query."""
    torch.manual_seed(0)
    module = SDIM(2, 2, 60_000, 3)
    query = torch.tensor([[1.0, 0.0]])
    for degrees in (60, 90):
        angle = math.radians(degrees)
        element = torch.tensor([[math.cos(angle), math.sin(angle)]])
        received = module(query, JaggedSequence.of(element, torch.tensor([1])))
        share = (received / element).mean().item() if degrees != 90 else received[0, 1].item()
        assert abs(share - (1 - angle / math.pi) ** 3) < 0.01


def test_sdim_has_no_weights_and_no_gradient_of_the_query() -> None:
    query, sequence, lengths = sample(4, 4)
    module = SDIM(4, 4, 12, 3).double()
    assert list(module.parameters()) == []
    assert list(module.state_dict()) == ["codes.projections"]
    module(query.requires_grad_(), from_padded(sequence.requires_grad_(), lengths)).sum().backward()
    assert query.grad is None
    assert sequence.grad is not None and sequence.grad.ne(0).any()
