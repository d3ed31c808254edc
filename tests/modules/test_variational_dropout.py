from __future__ import annotations

import math

import pytest
import torch

from tzrec.modules.variational_dropout import VariationalDropout

LOGITS = [0.3, -1.2, 0.0]


def module() -> VariationalDropout:
    made = VariationalDropout([1, 2, 1], regularization_lambda=0.5)
    with torch.no_grad():
        made.logits.copy_(torch.tensor(LOGITS))
    return made


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_variational_dropout_initial_probabilities_are_one_half() -> None:
    made = VariationalDropout([1, 2])
    assert made.logits.tolist() == [0, 0]
    assert made.eval()(torch.full((1, 3), 8.0))[0].tolist() == [[4, 4, 4]]


def test_variational_dropout_in_evaluation_scales_by_keep_probability() -> None:
    x = [[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 0.0, 2.0]]
    keep = [1 - sigmoid(LOGITS[f]) for f in (0, 1, 1, 2)]
    received, _ = module().eval()(torch.tensor(x))
    torch.testing.assert_close(received, torch.tensor([[v * k for v, k in zip(row, keep, strict=True)] for row in x]))


def test_variational_dropout_in_training_draws_per_row_and_feature() -> None:
    torch.manual_seed(4)
    uniform = torch.rand(2, 3).tolist()
    torch.manual_seed(4)
    received = module()(torch.ones(2, 4))[0].tolist()
    for row, draws in enumerate(uniform):
        z = [sigmoid((theta + math.log(u / (1 - u))) / 0.1) for theta, u in zip(LOGITS, draws, strict=True)]
        assert received[row] == pytest.approx([1 - z[f] for f in (0, 1, 1, 2)], abs=1e-5)


def test_variational_dropout_draws_are_close_to_0_or_1_with_learned_frequency() -> None:
    torch.manual_seed(4)
    kept = module()(torch.ones(20000, 4))[0][:, [0, 1, 3]]
    for mean, theta in zip(kept.round().mean(0).tolist(), LOGITS, strict=True):
        assert mean == pytest.approx(1 - sigmoid(theta), abs=0.02)
    assert ((kept < 0.1) | (kept > 0.9)).double().mean() > 0.85


def test_variational_dropout_penalty_and_gradient() -> None:
    """0.5 / 8 * sum(1 - p); its gradient is -0.5 / 8 * p (1 - p)."""
    made = module()
    _, penalty = made(torch.ones(8, 4))
    assert penalty.item() == pytest.approx(sum(1 - sigmoid(theta) for theta in LOGITS) / 16)
    penalty.backward()
    expected = [-sigmoid(theta) * (1 - sigmoid(theta)) / 16 for theta in LOGITS]
    assert made.logits.grad.tolist() == pytest.approx(expected)


def test_variational_dropout_gradients() -> None:
    made = module().double()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def run(x: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(4)
        return torch.func.functional_call(made, {"logits": logits}, (x,))

    assert torch.autograd.gradcheck(run, (x, made.logits.detach().requires_grad_()))


def test_variational_dropout_with_draw_of_zero_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.rand can return 0, whose logit is minus infinity."""
    monkeypatch.setattr(torch, "rand", torch.zeros)
    made = module()
    received, _ = made(torch.ones(2, 4))
    received.sum().backward()
    assert received.tolist() == [[1.0] * 4] * 2
    assert made.logits.grad.tolist() == [0, 0, 0]
