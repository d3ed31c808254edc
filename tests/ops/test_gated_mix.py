"""Weighted sum of expert outputs: scaled additions against the batched product, values and gradients."""

from __future__ import annotations

import pytest
import torch

from tzrec.ops.gated_mix import cpu, reference


@pytest.mark.parametrize("num_experts", [1, 3])
def test_gated_mix_cpu_equals_reference(num_experts: int) -> None:
    torch.manual_seed(0)
    gate = torch.randn(9, num_experts).softmax(1).requires_grad_()
    outputs = [torch.randn(9, 4, requires_grad=True) for _ in range(num_experts)]
    seed_grad = torch.randn(9, 4)
    fast, plain = cpu.gated_mix(gate, outputs), reference.gated_mix(gate, outputs)
    torch.testing.assert_close(fast, plain)
    fast_grads = torch.autograd.grad(fast, [gate, *outputs], seed_grad)
    plain_grads = torch.autograd.grad(plain, [gate, *outputs], seed_grad)
    for received, expected in zip(fast_grads, plain_grads, strict=True):
        torch.testing.assert_close(received, expected)


@pytest.mark.parametrize("gated_mix", [cpu.gated_mix, reference.gated_mix])
def test_gated_mix_of_two_experts(gated_mix) -> None:
    gate = torch.tensor([[0.25, 0.75]])
    experts = [torch.tensor([[4.0, 0.0]]), torch.tensor([[8.0, -4.0]])]
    torch.testing.assert_close(gated_mix(gate, experts), torch.tensor([[7.0, -3.0]]))
