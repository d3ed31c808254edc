"""The scaled additions against the batched product, values and gradients."""

from __future__ import annotations

import pytest
import torch

from tzrec.ops.gated_mix import gated_mix, gated_mix_plain


@pytest.mark.parametrize("experts", [1, 3])
def test_equals_plain(experts: int) -> None:
    torch.manual_seed(0)
    gate = torch.randn(9, experts).softmax(1).requires_grad_()
    outputs = [torch.randn(9, 4, requires_grad=True) for _ in range(experts)]
    seed_grad = torch.randn(9, 4)
    fast, plain = gated_mix(gate, outputs), gated_mix_plain(gate, outputs)
    torch.testing.assert_close(fast, plain)
    fast_grads = torch.autograd.grad(fast, [gate, *outputs], seed_grad)
    plain_grads = torch.autograd.grad(plain, [gate, *outputs], seed_grad)
    for got, want in zip(fast_grads, plain_grads):
        torch.testing.assert_close(got, want)


def test_worked_by_hand() -> None:
    gate = torch.tensor([[0.25, 0.75]])
    experts = [torch.tensor([[4.0, 0.0]]), torch.tensor([[8.0, -4.0]])]
    torch.testing.assert_close(gated_mix(gate, experts), torch.tensor([[7.0, -3.0]]))
