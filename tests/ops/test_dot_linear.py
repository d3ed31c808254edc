from __future__ import annotations

import pytest
import torch

from tzrec.ops.dot_linear import dot_linear, dot_linear_plain


@pytest.mark.parametrize(("fields", "dim", "passed"), [(2, 3, 0), (5, 4, 1), (27, 16, 27), (1, 4, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_twin(fields: int, dim: int, passed: int, bias: bool) -> None:
    """Values and every gradient, in float64."""
    pairs = fields * (fields - 1) // 2
    x = torch.randn(6, fields * dim, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, pairs + passed * dim, dtype=torch.float64, requires_grad=True)
    shift = torch.randn(7, dtype=torch.float64, requires_grad=True) if bias else None
    leaves = [each for each in (x, weight, shift) if each is not None]
    results = []
    for function in (dot_linear, dot_linear_plain):
        y = function(x, fields, weight, shift)
        results.append((y, *torch.autograd.grad(y.square().sum(), leaves)))
    for got, right in zip(*results, strict=True):
        torch.testing.assert_close(got, right, rtol=1e-10, atol=1e-10)


def test_by_hand() -> None:
    """Vectors (1, 2), (3, 4), (0, 5): dots 11, 10, 20; weights 1, 10, 100 of these and 1000 of the first number."""
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0, 5.0]])
    weight = torch.tensor([[1.0, 10.0, 100.0, 1000.0, 0.0]])
    for function in (dot_linear, dot_linear_plain):
        assert function(x, 3, weight, torch.tensor([0.5])).tolist() == [[11 + 100 + 2000 + 1000 + 0.5]]


def test_under_autocast() -> None:
    x, weight, bias = torch.randn(8, 12), torch.randn(5, 3 + 12), torch.randn(5)
    with torch.autocast("cpu", torch.bfloat16):
        y = dot_linear(x, 3, weight, bias)
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), dot_linear(x, 3, weight, bias), rtol=0.05, atol=0.2)
