from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tzrec.modules.experts import MixtureOfExperts


def relu_layers(w: dict[str, np.ndarray], prefix: str, x: np.ndarray) -> np.ndarray:
    layer = 0
    while f"{prefix}layers.{layer}.linear.weight" in w:
        x = np.maximum(w[f"{prefix}layers.{layer}.linear.weight"] @ x + w[f"{prefix}layers.{layer}.linear.bias"], 0)
        layer += 1
    return x


def naive(moe: nn.Module, x: np.ndarray, num_expert: int, num_task: int) -> list[np.ndarray]:
    """One row, one task, one expert at a time, in float64."""
    w = {name: value.double().numpy() for name, value in moe.state_dict().items()}
    tasks = []
    for task in range(num_task):
        rows = []
        for row in x:
            hidden = relu_layers(w, f"gates.{task}.mlp.", row)
            score = w[f"gates.{task}.linear.weight"] @ hidden + w[f"gates.{task}.linear.bias"]
            share = np.exp(score - score.max()) / np.exp(score - score.max()).sum()
            rows.append(sum(share[n] * relu_layers(w, f"experts.{n}.", row) for n in range(num_expert)))
        tasks.append(np.stack(rows))
    return tasks


@pytest.mark.parametrize("gate", [None, {"hidden_units": [7, 3]}, {"hidden_units": []}])
@pytest.mark.parametrize("num_task", [1, 3])
@pytest.mark.parametrize("rows", [1, 9])
def test_mixture_of_experts_equals_loop(gate: dict | None, num_task: int, rows: int) -> None:
    torch.manual_seed(3)
    moe = MixtureOfExperts(6, 4, {"hidden_units": [8, 5]}, num_task, gate)
    x = torch.randn(rows, 6)
    expected = naive(moe, x.double().numpy(), 4, num_task)
    mixed = moe(x)
    assert moe.out_dim == 5
    assert len(mixed) == num_task
    for output, expected_output in zip(mixed, expected, strict=True):
        np.testing.assert_allclose(output.detach().numpy(), expected_output, atol=1e-5)
    if num_task > 1:
        assert not np.allclose(expected[0], expected[1], atol=1e-3)


def test_mixture_of_two_experts_equals_weighted_sum() -> None:
    """Two experts x and 3x, a gate of 0 and log(3): weights 1/4 and 3/4, so 0.25 x + 0.75 * 3 x = 2.5 x."""
    moe = MixtureOfExperts(1, 2, {"hidden_units": [1]}, 1)
    with torch.no_grad():
        for parameter in moe.parameters():
            parameter.zero_()
        moe.experts[0].layers[0].linear.weight.fill_(1)
        moe.experts[1].layers[0].linear.weight.fill_(3)
        moe.gates[0].linear.bias.copy_(torch.tensor([1.0, 3.0]).log())
    torch.testing.assert_close(moe(torch.tensor([[2.0], [4.0]]))[0], torch.tensor([[5.0], [10.0]]))


def test_mixture_of_experts_gradients_equal_finite_differences() -> None:
    torch.manual_seed(3)
    arguments = {"hidden_units": [3, 2], "activation": "nn.Tanh"}
    moe = MixtureOfExperts(3, 2, arguments, 2, {"hidden_units": [2], "activation": "nn.Tanh"}).double()
    names = [name for name, _ in moe.named_parameters()]

    def forward(x: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.func.functional_call(moe, dict(zip(names, parameters, strict=True)), (x,)))

    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(forward, (x, *moe.parameters()))


@pytest.mark.parametrize("gate", [None, {"hidden_units": [4]}])
def test_mixture_of_experts_float32_gradients_equal_float64(gate: dict | None) -> None:
    """float64 takes the reference of relu_mlp, float32 the CPU kernel."""
    moe = MixtureOfExperts(6, 3, {"hidden_units": [8, 5]}, 2, gate)
    twin = copy.deepcopy(moe).double()
    x, pull = torch.randn(17, 6), torch.randn(2, 17, 5)
    inputs = [x.clone().requires_grad_(), x.double().requires_grad_()]
    for module, x in zip((moe, twin), inputs, strict=True):
        torch.stack(module(x)).mul(pull.to(x.dtype)).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad.float(), rtol=1e-4, atol=1e-5)
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(moe.get_parameter(name).grad, parameter.grad.float(), rtol=1e-4, atol=1e-5)


def test_expert_dropout_differs_between_experts_and_is_off_in_evaluation() -> None:
    torch.manual_seed(3)
    moe = MixtureOfExperts(2, 2, {"hidden_units": [64], "dropout_ratio": [0.5]}, 1)
    with torch.no_grad():
        for parameter in moe.experts.parameters():
            parameter.fill_(1)
        for parameter in moe.gates.parameters():
            parameter.zero_()
    mixed = moe(torch.ones(1, 2))[0]  # mean of two values in {0, 6}: both, one or none dropped
    assert set(mixed.unique().tolist()) == {0.0, 3.0, 6.0}
    assert moe.eval()(torch.ones(1, 2))[0].eq(3).all()
