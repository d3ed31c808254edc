from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tzrec.ops.dot_pairs import dot_pairs, dot_pairs_plain


@pytest.mark.parametrize(
    ("widths", "dim", "passed"), [([3, 3], 3, 0), ([4, 16], 4, 1), ([16, 26 * 16], 16, 27), ([12], 4, 0), ([4], 4, 1)]
)
def test_equals_the_twin(widths: Sequence[int], dim: int, passed: int) -> None:
    """Values and every gradient, in float64."""
    parts = [torch.randn(6, width, dtype=torch.float64, requires_grad=True) for width in widths]
    results = []
    for function in (dot_pairs, dot_pairs_plain):
        y = function(parts, dim, passed)
        results.append((y, *torch.autograd.grad((y**3).sum(), parts)))
    for got, right in zip(*results, strict=True):
        torch.testing.assert_close(got, right, rtol=1e-10, atol=1e-10)


def test_by_hand() -> None:
    """Vectors (1, 2), (3, 4), (0, 5): dots 11, 10, 20, then the first vector."""
    parts = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0, 0.0, 5.0]])]
    for function in (dot_pairs, dot_pairs_plain):
        assert function(parts, 2, 1).tolist() == [[11, 10, 20, 1, 2]]


def test_under_autocast() -> None:
    """The first part comes in half precision, as from an MLP: each gets its gradient in its own type."""
    first = torch.randn(8, 4).bfloat16().requires_grad_()
    rest = torch.randn(8, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = dot_pairs([first, rest], 4, 1)
    assert y.dtype is torch.bfloat16
    right = dot_pairs_plain([first.float(), rest], 4, 1)
    torch.testing.assert_close(y.float(), right, rtol=0.05, atol=0.1)
    received = torch.autograd.grad(y.float().square().sum(), [first, rest])
    expected = torch.autograd.grad(right.square().sum(), [first, rest])
    assert [each.dtype for each in received] == [torch.bfloat16, torch.float32]
    for got, wanted in zip(received, expected, strict=True):
        assert torch.nn.functional.cosine_similarity(got.flatten().float(), wanted.flatten().float(), dim=0) > 0.999
