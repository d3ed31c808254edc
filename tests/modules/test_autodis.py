"""AutoDis against the formulas of the paper in Python floats."""

from __future__ import annotations

import math

import pytest
import torch

from tzrec.modules.autodis import AutoDis


def naive(module: AutoDis, x: list[list[float]]) -> list[list[list[float]]]:
    """Rows of fields of vectors, in Python floats."""
    w, mix, vectors = (parameter.tolist() for parameter in (module.scale, module.mix, module.vectors))
    return [[_embed(value, w[f][0], mix[f], vectors[f], module) for f, value in enumerate(row)] for row in x]


def _embed(x: float, w: list[float], mix: list[list[float]], vectors: list[list[float]], of: AutoDis) -> list[float]:
    channels = range(len(w))
    hidden = [x * scale if x * scale > 0 else 0.01 * x * scale for scale in w]
    scores = [sum(hidden[i] * mix[i][c] for i in channels) + of.keep_prob * hidden[c] for c in channels]
    powers = [math.exp(score / of.temperature) for score in scores]
    shares = [power / sum(powers) for power in powers]
    return [sum(shares[c] * vectors[c][d] for c in channels) for d in range(len(vectors[0]))]


def test_autodis_equals_formulas() -> None:
    torch.manual_seed(3)
    module = AutoDis(fields=3, dim=2, num_channels=4, temperature=0.7, keep_prob=0.3).double()
    x = [[0.5, -1.0, 2.0], [0.0, 3.0, -0.25]]
    received = module(torch.tensor(x, dtype=torch.float64)).unflatten(1, (3, 2))
    torch.testing.assert_close(received, torch.tensor(naive(module, x), dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_autodis_of_two_channels_equals_softmax_mixture() -> None:
    """w = (1, -1), W = 0, x = 1: h = (1, -0.01), scores (0.5, -0.005), weight of the first 1 / (1 + exp(-1.01))."""
    module = AutoDis(fields=1, dim=1, num_channels=2, temperature=0.5, keep_prob=0.5)
    with torch.no_grad():
        module.scale.copy_(torch.tensor([[[1.0, -1.0]]]))
        module.mix.zero_()
        module.vectors.copy_(torch.tensor([[[10.0], [20.0]]]))
    share = 1 / (1 + math.exp(-1.01))
    assert module(torch.ones(1, 1)).item() == pytest.approx(10 * share + 20 * (1 - share), rel=1e-6)


def test_autodis_gradients_equal_finite_differences() -> None:
    torch.manual_seed(3)
    module = AutoDis(fields=2, dim=3, num_channels=4, temperature=0.5).double()
    x = torch.tensor([[0.5, -1.0], [1.5, 2.0], [-0.7, 0.1]], dtype=torch.float64, requires_grad=True)
    inputs = (x, *(parameter.detach().requires_grad_() for parameter in module.parameters()))
    names = [name for name, _ in module.named_parameters()]

    def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, inputs)
