from __future__ import annotations

import math

import torch
from scipy.stats import lognorm

from tzrec.losses.ziln_loss import ZILNLoss


def test_row_losses_equal_hand_computed_values() -> None:
    """p 0.75, mu 0, sigma 1: -log 0.25 for value 0; -log 0.75 + 1 + log sqrt(2 pi) + 1/2 for value e."""
    s = math.log(math.e - 1)  # softplus(s) = 1
    logits = torch.tensor([[math.log(3), 0.0, s]] * 2)
    result = ZILNLoss().row_losses(logits, torch.tensor([0.0, math.e]))
    expected = [math.log(4), -math.log(0.75) + 1 + math.log(2 * math.pi) / 2 + 0.5]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_row_losses_equal_scipy_densities() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(300, 3, dtype=torch.float64), torch.rand(300, dtype=torch.float64) * 50
    label[::3] = 0
    result = ZILNLoss().row_losses(logits, label)
    for (a, mu, s), x, loss in zip(logits.tolist(), label.tolist(), result.tolist(), strict=True):
        p, sigma = 1 / (1 + math.exp(-a)), math.log1p(math.exp(s))
        expected = -math.log(p) - lognorm.logpdf(x, sigma, scale=math.exp(mu)) if x else -math.log(1 - p)
        assert abs(loss - expected) < 1e-9


def test_prediction_is_the_mean_of_the_distribution() -> None:
    torch.manual_seed(0)
    logits = torch.randn(20, 3, dtype=torch.float64)
    y = ZILNLoss().outputs(logits)["y"]
    for (a, mu, s), mean in zip(logits.tolist(), y.tolist(), strict=True):
        sigma = math.log1p(math.exp(s))
        assert abs(mean - lognorm.mean(sigma, scale=math.exp(mu)) / (1 + math.exp(-a))) < 1e-9


def test_gradient_equals_finite_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0.0, 1.0, 0.0, 3.5, 100.0, 0.01])
    assert torch.autograd.gradcheck(lambda x: ZILNLoss().row_losses(x, label), logits)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0], [-200.0, 0.0, -200.0]], requires_grad=True)
    result = ZILNLoss().row_losses(logits, torch.tensor([0.0, 1.0]))
    result.sum().backward()
    assert result.isfinite().all()
    assert logits.grad.isfinite().all()


def test_integer_labels_are_accepted_and_name_is_that_of_the_file() -> None:
    logits = torch.zeros(2, 3)
    expected = ZILNLoss().row_losses(logits, torch.tensor([0, 7]))
    assert torch.equal(expected, ZILNLoss().row_losses(logits, torch.tensor([0.0, 7.0])))
    assert ZILNLoss().name == "ziln_loss"
