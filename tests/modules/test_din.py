from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.fixtures.padded_sequences import double, elements_by_row, from_padded, mlp, sample, softmax
from tzrec.modules.din import DIN, MultiWindowDIN

MLP = {"hidden_units": [6, 4]}


def filled(query: Tensor, dim: int) -> Tensor:
    return torch.cat([query, torch.zeros(dim - len(query), dtype=query.dtype)])


@pytest.mark.parametrize("query_dim", [3, 2])
def test_din_equals_loop(query_dim: int) -> None:
    query, sequence, lengths = sample(query_dim, 3)
    module = double(DIN(query_dim, 3, MLP))
    received = module(query, from_padded(sequence, lengths))
    assert received.shape == (4, module.out_dim)
    for row, elements in enumerate(elements_by_row(sequence)):
        q = filled(query[row], 3)
        weights = softmax([float(mlp(torch.cat([q, s, q - s, q * s]), module)) for s in elements])
        expected = sum((a * s for a, s in zip(weights, elements, strict=True)), torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(received[row], expected)


@pytest.mark.parametrize("windows", [[1, 2], [2, 2, 4], [5]], ids=str)
@pytest.mark.parametrize("query_dim", [3, 2])
def test_multi_window_din_equals_loop(query_dim: int, windows: list[int]) -> None:
    """Windows that end before, at and after the longest sequence."""
    query, sequence, lengths = sample(query_dim, 3)
    module = double(MultiWindowDIN(query_dim, 3, windows, MLP))
    received = module(query, from_padded(sequence, lengths))
    assert received.shape == (4, module.out_dim)
    slope = module.activation.weight.item()
    for row, elements in enumerate(elements_by_row(sequence)):
        q, parts, begin = filled(query[row], 3), [], 0
        for window in windows:
            inside = elements[begin : begin + window]
            total = torch.zeros(3, dtype=torch.float64)
            for s in inside:
                score = float(mlp(torch.cat([s, q * s, q]), module))
                total += (score if score > 0 else slope * score) * s
            parts.append(total / max(len(inside), 1))
            begin += window
        torch.testing.assert_close(received[row], torch.cat([*parts, q]))


@pytest.mark.parametrize(("dim", "expected"), [(12, 84), (16, 7 * 16)])
def test_multi_window_din_has_a_block_for_each_window_and_the_padded_query(dim: int, expected: int) -> None:
    module = MultiWindowDIN(12, dim, [1, 1, 2, 2, 5, 10], MLP)
    query = torch.randn(4, 12)
    received = module(query, from_padded(torch.randn(4, 10, dim), torch.tensor([2, 3, 4, 5])))
    assert received.shape == (4, expected)
    assert module.out_dim == expected
    assert torch.equal(received[:, 6 * dim :][:, :12], query)
    assert received[:, 6 * dim + 12 :].eq(0).all()
    assert received[0, 2 * dim : 6 * dim].eq(0).all()  # windows that begin after the second element
    assert received[:, :dim].ne(0).all()
