"""Dropout on CPU: share and scale of the kept elements, independence, seeds."""

from __future__ import annotations

import pytest
import torch

from tzrec.ops.dropout.cpu import dropout
from tzrec.ops.dropout.reference import dropout as reference


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("function", [dropout, reference])
def test_dropout_keeps_share_and_scales_it(function, ratio: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    y = function(torch.ones(400, 501, dtype=dtype), ratio)
    kept = y[y != 0]
    torch.testing.assert_close(
        kept, torch.full_like(kept, 1 / (1 - ratio)), rtol=1e-2 if dtype != torch.float32 else 1e-4, atol=0
    )
    count, sigma = y.numel(), (ratio * (1 - ratio) / y.numel()) ** 0.5
    assert abs(1 - len(kept) / count - ratio) < 4 * sigma


def test_dropout_drops_elements_independently() -> None:
    """Four neighbors share one draw of 64 bits: no pair of the four positions may follow another."""
    torch.manual_seed(2)
    kept = (dropout(torch.ones(200_000), 0.5) != 0).double().view(-1, 4)
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02  # 4 sigma of 50,000 draws


def test_dropout_gradient_is_zero_where_value_is() -> None:
    torch.manual_seed(3)
    x = torch.randn(7, 5, requires_grad=True)
    y = dropout(x, 0.4)
    (grad,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(grad * x, y)
    assert 0 < (grad == 0).sum() < 35


def test_dropout_is_seeded_by_torch() -> None:
    draws = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        draws.append(dropout(torch.ones(1000), 0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_dropout_with_ratio_zero_is_identity() -> None:
    x = torch.randn(3, 3)
    assert torch.equal(dropout(x, 0.0), x)
