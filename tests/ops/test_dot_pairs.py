"""Dot products between the vectors of a row: the CPU kernel against the reference."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tzrec.ops.dot_pairs import cpu, reference


@pytest.mark.parametrize(
    ("widths", "dim", "num_passed"),
    [([3, 3], 3, 0), ([4, 16], 4, 1), ([16, 26 * 16], 16, 27), ([12], 4, 0), ([4], 4, 1)],
)
def test_dot_pairs_cpu_equals_reference(widths: Sequence[int], dim: int, num_passed: int) -> None:
    """Values and every gradient, in float64."""
    parts = [torch.randn(6, width, dtype=torch.float64, requires_grad=True) for width in widths]
    results = []
    for function in (cpu.dot_pairs, reference.dot_pairs):
        y = function(parts, dim, num_passed)
        results.append((y, *torch.autograd.grad((y**3).sum(), parts)))
    for received, expected in zip(*results, strict=True):
        torch.testing.assert_close(received, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dot_pairs", [cpu.dot_pairs, reference.dot_pairs])
def test_dot_pairs_of_three_vectors(dot_pairs) -> None:
    """Vectors (1, 2), (3, 4), (0, 5): dots 11, 10, 20, then the first vector."""
    parts = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0, 0.0, 5.0]])]
    assert dot_pairs(parts, 2, 1).tolist() == [[11, 10, 20, 1, 2]]


def test_dot_pairs_under_autocast_keeps_gradient_types() -> None:
    """The first part is in half precision, as from an MLP: each part gets its gradient in its own type."""
    first = torch.randn(8, 4).bfloat16().requires_grad_()
    rest = torch.randn(8, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = cpu.dot_pairs([first, rest], 4, 1)
    assert y.dtype is torch.bfloat16
    exact = reference.dot_pairs([first.float(), rest], 4, 1)
    torch.testing.assert_close(y.float(), exact, rtol=0.05, atol=0.1)
    received = torch.autograd.grad(y.float().square().sum(), [first, rest])
    expected = torch.autograd.grad(exact.square().sum(), [first, rest])
    assert [grad.dtype for grad in received] == [torch.bfloat16, torch.float32]
    for grad, exact_grad in zip(received, expected, strict=True):
        assert (
            torch.nn.functional.cosine_similarity(grad.flatten().float(), exact_grad.flatten().float(), dim=0) > 0.999
        )
