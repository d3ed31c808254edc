"""Fused linear + ReLU layers against the reference: values, gradients of input, weights and biases, fp32 and bf16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tzrec.ops.relu_mlp import cpu, reference


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
def test_relu_mlp_cpu_in_fp32_equals_reference(sizes: list[int], rows: int) -> None:
    weights, biases = _layers(sizes)
    x, seed_grad = torch.randn(rows, sizes[0]), torch.randn(rows, sizes[-1])
    fused = _run(cpu.relu_mlp, x, weights, biases, seed_grad)
    plain = _run(reference.relu_mlp, x, weights, biases, seed_grad)
    for received, expected in zip(fused, plain, strict=True):
        torch.testing.assert_close(received, expected, rtol=1e-5, atol=1e-5)


def test_relu_mlp_under_autocast_computes_in_bf16_and_returns_fp32_gradients() -> None:
    weights, biases = _layers([16, 32, 8])
    x, seed_grad = torch.randn(64, 16), torch.randn(64, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert cpu.relu_mlp(x, weights, biases).dtype == torch.bfloat16
        fused = _run(cpu.relu_mlp, x, weights, biases, seed_grad)
    plain = _run(reference.relu_mlp, x, weights, biases, seed_grad)
    assert all(tensor.dtype == torch.float32 for tensor in fused)
    for received, expected in zip(fused, plain, strict=True):
        assert (received - expected).norm() < 0.02 * expected.norm()  # bf16 keeps 8 bits


def test_relu_mlp_backward_leaves_incoming_gradient_unchanged() -> None:
    """The gradient that autograd passes in may be shared with another branch."""
    weights, biases = _layers([4, 3])
    x = torch.randn(5, 4, requires_grad=True)
    y = cpu.relu_mlp(x, weights, biases)
    seed_grad = torch.ones_like(y)
    y.backward(seed_grad)
    assert torch.equal(seed_grad, torch.ones_like(y))


def test_relu_mlp_with_input_without_gradient_computes_weight_gradients() -> None:
    weights, biases = _layers([4, 3, 2])
    cpu.relu_mlp(torch.randn(5, 4), weights, biases).sum().backward()
    assert weights[0].grad is not None and weights[0].grad.abs().sum() > 0


def test_relu_mlp_in_fp64_falls_back_to_reference() -> None:
    weights, biases = ([x.double() for x in tensors] for tensors in _layers([4, 3]))
    x = torch.randn(5, 4, dtype=torch.float64)
    assert torch.equal(cpu.relu_mlp(x, weights, biases), reference.relu_mlp(x, weights, biases))


@pytest.mark.parametrize("relu_mlp", [cpu.relu_mlp, reference.relu_mlp])
def test_relu_mlp_of_two_layers(relu_mlp) -> None:
    x = torch.tensor([[1.0, -1.0]])
    weights = [torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([[1.0, 1.0]])]
    biases = [torch.tensor([0.5, 1.0]), torch.tensor([-0.25])]
    # layer 1: [2 - 1 + 0.5, -3 + 1] -> relu [1.5, 0]; layer 2: 1.5 - 0.25
    assert relu_mlp(x, weights, biases).item() == pytest.approx(1.25)
