from __future__ import annotations

import pytest
import torch
from torch import nn

from tzrec.modules.activation import Dice
from tzrec.modules.batch_norm import BatchNorm


def trained() -> BatchNorm:
    """Return a norm after one batch with mean 2 and variance 8 / 3, unbiased, of 4 rows."""
    norm = BatchNorm(1, momentum=1.0, eps=1e-12)
    norm(torch.tensor([[0.0], [2.0], [2.0], [4.0]]))
    return norm


def test_batch_of_one_row_uses_running_statistics_and_leaves_them_unchanged() -> None:
    norm = trained()
    row = torch.tensor([[6.0]], requires_grad=True)
    normalized = norm(row)
    normalized.sum().backward()
    scale = (8 / 3) ** -0.5
    assert normalized.item() == pytest.approx(4 * scale)
    assert row.grad is not None
    assert row.grad.item() == pytest.approx(scale)
    assert (norm.running_mean.item(), norm.running_var.item()) == pytest.approx((2.0, 8 / 3))
    assert norm.num_batches_tracked.item() == 1


def test_batch_without_rows_leaves_running_statistics_unchanged() -> None:
    norm = trained()
    assert norm(torch.zeros(0, 1)).shape == (0, 1)
    assert (norm.running_mean.item(), norm.running_var.item()) == pytest.approx((2.0, 8 / 3))


@pytest.mark.parametrize("is_training", [True, False])
def test_batch_of_several_rows_equals_torch(is_training: bool) -> None:
    norm, reference = BatchNorm(3).train(is_training), nn.BatchNorm1d(3).train(is_training)
    x = torch.randn(5, 3)
    assert torch.equal(norm(x), reference(x))
    assert all(torch.equal(value, reference.state_dict()[name]) for name, value in norm.state_dict().items())


def test_dice_of_one_row_is_finite() -> None:
    assert torch.isfinite(Dice(2)(torch.ones(1, 2))).all()
