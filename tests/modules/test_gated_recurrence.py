"""Gated recurrence: one number by the formula, rows of different lengths one by one, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tzrec.modules.gated_recurrence import gated_scan

SIZES = [[4, 4, 2, 1], [3], [1, 1, 1], []]


def sample(sizes: list[int], width: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, factors and weights in float64; the first factor is 0."""
    generator = torch.Generator().manual_seed(4)
    shapes = (sum(sizes), 3 * width), (3 * width, width)
    x, weight = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    factors = torch.rand(sum(sizes), generator=generator, dtype=torch.float64)
    factors[:1] = 0
    return x.requires_grad_(), factors.requires_grad_(), weight.requires_grad_()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_scan_of_one_number_follows_the_formula() -> None:
    """Rows of two and of one element; the state has one number."""
    x = torch.tensor([[0.5, -0.3, 0.8], [0.1, 0.2, -0.4], [-0.6, 0.9, 0.3]])
    states = gated_scan(x, torch.tensor([1.0, 0.5, 0.25]), torch.tensor([[0.7], [-0.2], [0.4]]), [2, 1])
    first = sigmoid(0.5) * math.tanh(0.8)
    other = 0.5 * sigmoid(0.1) * math.tanh(-0.4)
    update, reset = 0.25 * sigmoid(-0.6 + 0.7 * first), sigmoid(0.9 - 0.2 * first)
    second = (1 - update) * first + update * math.tanh(0.3 + reset * 0.4 * first)
    torch.testing.assert_close(states, torch.tensor([[first], [other], [second]]))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_scan_of_many_rows_equals_that_of_each(sizes: list[int]) -> None:
    x, factors, weight = sample(sizes)
    received = gated_scan(x, factors, weight, sizes)
    assert received.shape == (sum(sizes), 3)
    for row in range(sizes[0] if sizes else 0):
        at = [sum(sizes[:step]) + row for step, size in enumerate(sizes) if row < size]
        torch.testing.assert_close(received[at], gated_scan(x[at], factors[at], weight, [1] * len(at)))


def test_gradients_of_scan_equal_finite_differences() -> None:
    assert torch.autograd.gradcheck(lambda *inputs: gated_scan(*inputs, SIZES[0]), sample(SIZES[0]))


def test_factor_zero_leaves_the_state_as_it_is() -> None:
    x, factors, weight = sample([2, 2, 2])
    with torch.no_grad():
        factors[2:4] = 0
        states = gated_scan(x, factors, weight, [2, 2, 2])
    assert torch.equal(states[:1], torch.zeros(1, 3, dtype=torch.float64))
    assert torch.equal(states[2:4], states[:2])
