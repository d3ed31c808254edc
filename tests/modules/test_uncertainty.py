from __future__ import annotations

import math

import pytest
import torch

from tzrec.modules.uncertainty import Uncertainty


def test_uncertainty_initially_adds_nothing() -> None:
    assert Uncertainty(2)([torch.tensor(3.0), torch.tensor(0.5)]).item() == 0


def test_uncertainty_of_two_losses() -> None:
    """s = (log 2, log 0.5), losses 3 and 0.5: 3 / 2 + 0.5 * 2 + 0 instead of 3.5."""
    weighting = Uncertainty(2)
    with torch.no_grad():
        weighting.log_variance.copy_(torch.tensor([math.log(2), math.log(0.5)]))
    assert weighting([torch.tensor(3.0), torch.tensor(0.5)]).item() == pytest.approx(2.5 - 3.5)


def test_uncertainty_gradients() -> None:
    """By s: -exp(-s) L + 1/2; by L, of the sum with the losses themselves: exp(-s)."""
    weighting, losses = Uncertainty(2), torch.tensor([3.0, 0.5], requires_grad=True)
    with torch.no_grad():
        weighting.log_variance.copy_(torch.tensor([0.3, -1.0]))
    (losses.sum() + weighting(list(losses))).backward()
    factor = torch.exp(-weighting.log_variance.detach())
    torch.testing.assert_close(losses.grad, factor)
    torch.testing.assert_close(weighting.log_variance.grad, -factor * losses.detach() + 0.5)


def test_uncertainty_learned_weights_are_one_over_twice_the_loss() -> None:
    weighting, losses = Uncertainty(2), [torch.tensor(3.0), torch.tensor(0.5)]
    optimizer = torch.optim.Adam(weighting.parameters(), 0.05)
    for _ in range(600):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    weights = torch.exp(-weighting.log_variance.detach())
    torch.testing.assert_close(weights, torch.tensor([1 / 6, 1.0]), rtol=1e-3, atol=0)
