"""The fused stack against its plain twin: values, gradients of input, weights and biases, fp32 and bf16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tzrec.ops import relu_mlp as ops


def _layers(sizes: list[int]) -> tuple[list[Tensor], list[Tensor]]:
    torch.manual_seed(0)
    pairs = list(zip(sizes, sizes[1:]))
    weights = [torch.randn(o, i).div(i**0.5).requires_grad_() for i, o in pairs]
    return weights, [torch.randn(o).requires_grad_() for _, o in pairs]


def _run(fn, x: Tensor, weights: list[Tensor], biases: list[Tensor], seed_grad: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = fn(x, weights, biases)
    return [y.detach().float(), *torch.autograd.grad(y, [x, *weights, *biases], seed_grad.to(y.dtype))]


@pytest.mark.parametrize("sizes", [[5, 3], [7, 16, 8, 4]])
@pytest.mark.parametrize("rows", [1, 33])
def test_fp32_equals_plain(sizes: list[int], rows: int) -> None:
    weights, biases = _layers(sizes)
    x, seed_grad = torch.randn(rows, sizes[0]), torch.randn(rows, sizes[-1])
    fused = _run(ops.relu_mlp, x, weights, biases, seed_grad)
    plain = _run(ops.relu_mlp_plain, x, weights, biases, seed_grad)
    for got, want in zip(fused, plain):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_autocast_computes_in_bf16_and_returns_fp32_gradients() -> None:
    weights, biases = _layers([16, 32, 8])
    x, seed_grad = torch.randn(64, 16), torch.randn(64, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert ops.relu_mlp(x, weights, biases).dtype == torch.bfloat16
        fused = _run(ops.relu_mlp, x, weights, biases, seed_grad)
    plain = _run(ops.relu_mlp_plain, x, weights, biases, seed_grad)
    assert all(got.dtype == torch.float32 for got in fused)
    for got, want in zip(fused, plain):
        assert (got - want).norm() < 0.02 * want.norm()  # bf16 keeps 8 bits


def test_incoming_gradient_is_left_alone() -> None:
    """The gradient that autograd hands in may be shared with another branch."""
    weights, biases = _layers([4, 3])
    x = torch.randn(5, 4, requires_grad=True)
    y = ops.relu_mlp(x, weights, biases)
    seed_grad = torch.ones_like(y)
    y.backward(seed_grad)
    assert torch.equal(seed_grad, torch.ones_like(y))


def test_input_that_needs_no_gradient() -> None:
    weights, biases = _layers([4, 3, 2])
    ops.relu_mlp(torch.randn(5, 4), weights, biases).sum().backward()
    assert weights[0].grad is not None and weights[0].grad.abs().sum() > 0


def test_worked_by_hand() -> None:
    x = torch.tensor([[1.0, -1.0]])
    weights = [torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([[1.0, 1.0]])]
    biases = [torch.tensor([0.5, 1.0]), torch.tensor([-0.25])]
    # layer 1: [2 - 1 + 0.5, -3 + 1] -> relu [1.5, 0]; layer 2: 1.5 - 0.25
    assert ops.relu_mlp(x, weights, biases).item() == pytest.approx(1.25)
