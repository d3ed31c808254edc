"""Dot products between the vectors of a row: the CPU kernel against the reference."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tzrec.ops.dot_pairs import cpu, reference


@pytest.mark.parametrize("rows", [6, 1500])
@pytest.mark.parametrize(
    ("widths", "dim", "num_passed"),
    [([4, 4], 4, 0), ([4, 16], 4, 1), ([16, 26 * 16], 16, 27), ([12], 4, 0), ([4], 4, 1), ([36, 35 * 36], 36, 2)],
)
def test_dot_pairs_cpu_equals_reference(widths: Sequence[int], dim: int, num_passed: int, rows: int) -> None:
    """Values and every gradient, against the reference in float64; on two threads where there are many rows."""
    parts = [torch.randn(rows, width, requires_grad=True) for width in widths]
    exact = [part.detach().double().requires_grad_() for part in parts]
    results = []
    num_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    for function, inputs in ((cpu.dot_pairs, parts), (reference.dot_pairs, exact)):
        y = function(inputs, dim, num_passed)
        results.append((y, *torch.autograd.grad((y**2).sum(), inputs)))
    torch.set_num_threads(num_threads)
    for received, expected in zip(*results, strict=True):
        assert received.dtype is torch.float32
        torch.testing.assert_close(received.double(), expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("widths", "dtype"), [([3, 9], torch.float32), ([4, 8], torch.float64), ([4] * 3, torch.float32)]
)
def test_dot_pairs_cpu_leaves_other_inputs_to_reference(widths: Sequence[int], dtype: torch.dtype) -> None:
    parts = [torch.randn(5, width, dtype=dtype) for width in widths]
    assert torch.equal(cpu.dot_pairs(parts, widths[0], 1), reference.dot_pairs(parts, widths[0], 1))


def test_dot_pairs_in_bfloat16_rounds_once() -> None:
    """To the nearest, ties to even, as torch does; infinities and NaN stay."""
    parts = [torch.randn(200, 4), torch.randn(200, 8)]
    parts[0][0], parts[1][0] = torch.inf, torch.nan
    parts[1][1] = torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32)  # NaN that rounding makes -0
    parts[1][2, :4], parts[0][2] = torch.tensor([1 + 2**-8, 0, 0, 0]), torch.tensor([1.0, 0, 0, 0])  # a tie
    with torch.autocast("cpu", torch.bfloat16):
        y = cpu.dot_pairs(parts, 4, 1)
    torch.testing.assert_close(y, cpu.dot_pairs(parts, 4, 1).bfloat16(), rtol=0, atol=0, equal_nan=True)
    assert y[2, 0] == 1


@pytest.mark.parametrize("dot_pairs", [cpu.dot_pairs, reference.dot_pairs])
def test_dot_pairs_of_three_vectors(dot_pairs) -> None:
    """Vectors (1, 2), (3, 4), (0, 5), each with two zeros: dots 11, 10, 20, then the first vector."""
    parts = [torch.tensor([[1.0, 2.0, 0.0, 0.0]]), torch.tensor([[3.0, 4.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0]])]
    assert dot_pairs(parts, 4, 1).tolist() == [[11, 10, 20, 1, 2, 0, 0]]


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
