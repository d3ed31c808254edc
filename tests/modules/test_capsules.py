from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tzrec.modules.capsules import Capsules, LinearAfterMLP

CONFIG: dict[str, Any] = {
    "max_k": 3,
    "max_seq_len": 4,
    "high_dim": 4,
    "num_iters": 3,
    "routing_logits_scale": 20.0,
    "routing_logits_stddev": 1.0,
    "squash_pow": 1.0,
    "const_caps_num": False,
    "routing_init_method": "normal",
    "routing": "COUPLING",
}
MLP: dict[str, Any] = {"activation": "nn.ReLU", "use_bn": False, "dropout_ratio": []}


def squash(x: np.ndarray, power: float = 1.0) -> np.ndarray:
    norm = max(math.sqrt(float(x @ x)), 1e-7)
    return x * (norm**2 / (1 + norm**2)) ** power / norm


def naive_capsules(
    elements: list[np.ndarray],
    bilinear: np.ndarray,
    initial: np.ndarray,
    routing: str,
    num_iters: int = 3,
    scale: float = 20.0,
    power: float = 1.0,
) -> list[np.ndarray]:
    """Capsules of a row, one element and one capsule at a time."""
    length = len(elements)
    count = math.ceil(max(1.0, min(initial.shape[1], math.log2(length) if length else 0.0)))
    projected = [x @ bilinear for x in elements]
    logits = [[float(initial[t, k]) for k in range(count)] for t in range(length)]
    for iteration in range(num_iters):
        couplings = []
        for row in logits:
            weights = [math.exp(scale * (value - max(row))) for value in row]
            couplings.append([weight / sum(weights) for weight in weights])
        capsules = [
            sum((couplings[t][k] * projected[t] for t in range(length)), np.zeros(bilinear.shape[1]))
            for k in range(count)
        ]
        if iteration == num_iters - 1:
            return [squash(capsule, power) for capsule in capsules]
        for t in range(length):
            for k in range(count):
                if routing == "COUPLING":
                    unit = projected[t] / max(math.sqrt(float(projected[t] @ projected[t])), 1e-12)
                    logits[t][k] = couplings[t][k] + float(capsules[k] @ unit)
                else:
                    logits[t][k] += float(squash(capsules[k], power) @ projected[t])
    raise AssertionError("no iteration")


@pytest.mark.parametrize("routing", ["COUPLING", "ACCUMULATED"])
@pytest.mark.parametrize("num_iters", [1, 2, 3])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_capsules_equal_the_reference(routing: str, num_iters: int, power: float) -> None:
    config = CONFIG | {"routing": routing, "num_iters": num_iters, "squash_pow": power, "routing_logits_scale": 2.0}
    module = Capsules(5, config).double()
    lengths = torch.tensor([0, 1, 2, 3, 4, 5])
    sequence = torch.randn(6, 5, 5, dtype=torch.float64)
    capsules, is_capsule = module(sequence, lengths)
    for row, length in enumerate(lengths.tolist()):
        elements = [sequence[row, t].numpy() for t in range(min(length, 4))]
        weights = module.bilinear.detach().numpy(), module.initial_logits.numpy()
        expected = naive_capsules(elements, *weights, routing, num_iters, 2.0, power)
        assert is_capsule[row].sum() == len(expected)
        np.testing.assert_allclose(capsules[row, : len(expected)].detach().numpy(), np.array(expected), atol=1e-12)
        assert not capsules[row, len(expected) :].any()


def test_number_of_capsules_follows_the_length() -> None:
    module = Capsules(2, CONFIG | {"max_k": 5, "max_seq_len": 64})
    lengths = torch.tensor([0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64])
    _, is_capsule = module(torch.randn(len(lengths), 64, 2), lengths)
    assert is_capsule.sum(1).tolist() == [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    assert is_capsule[:, 0].all()


def test_number_of_capsules_can_be_constant() -> None:
    capsules, is_capsule = Capsules(8, CONFIG | {"const_caps_num": True})(torch.randn(2, 4, 8), torch.tensor([0, 3]))
    assert is_capsule.all()
    assert capsules[1].abs().sum(1).gt(0).all()
    assert not capsules[0].any()


def test_shapes_are_those_of_the_test_vector() -> None:
    module = Capsules(8, CONFIG | {"max_k": 5, "max_seq_len": 32, "high_dim": 8})
    capsules, is_capsule = module(torch.randn(4, 64, 8), torch.tensor([3, 64, 10, 32]))
    assert capsules.shape == (4, 5, 8)
    assert is_capsule.shape == (4, 5)


def test_zero_initial_logits_give_equal_capsules() -> None:
    config = CONFIG | {"const_caps_num": True, "routing_init_method": "zeros"}
    capsules, _ = Capsules(8, config)(torch.randn(2, 4, 8), torch.tensor([4, 3]))
    torch.testing.assert_close(capsules, capsules[:, :1].expand_as(capsules))


def test_initial_logits_have_their_standard_deviation() -> None:
    logits = Capsules(2, CONFIG | {"max_seq_len": 4000, "routing_logits_stddev": 0.5}).initial_logits
    assert abs(logits.std().item() - 0.5) < 0.02


def test_gradients_of_the_last_iteration_equal_finite_differences() -> None:
    module = Capsules(3, CONFIG | {"num_iters": 1, "max_k": 2}).double()
    lengths = torch.tensor([3, 1, 4])

    def forward(sequence: torch.Tensor, bilinear: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(module, {"bilinear": bilinear}, (sequence, lengths))[0]
        return result

    sequence = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(forward, (sequence, module.bilinear))


def test_gradients_do_not_flow_through_couplings() -> None:
    """The gradient of the routing is that of its last sum with constant couplings."""
    module, lengths = Capsules(3, CONFIG).double(), torch.tensor([4])
    sequence = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    capsules, _ = module(sequence, lengths)
    (gradient,) = torch.autograd.grad(capsules.sum(), sequence)
    couplings: list[torch.Tensor] = []
    original = module._couplings
    module._couplings = lambda *args: couplings.append(original(*args)) or couplings[-1]  # type: ignore
    module(sequence, lengths)
    sums = couplings[-1].detach().mT @ (sequence @ module.bilinear)
    (expected,) = torch.autograd.grad(module._squash(sums)[:, :2].sum(), sequence)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(("units", "names"), [([4], ["linear.weight"]), ([6, 4], ["mlp", "linear.weight"])])
def test_last_hidden_units_are_a_plain_linear_layer(units: list[int], names: list[str]) -> None:
    module = LinearAfterMLP(3, MLP | {"hidden_units": units}, bias=False)
    assert module.out_dim == 4
    assert [name for name, _ in module.named_parameters()] == (
        ["linear.weight"] if len(units) == 1 else ["mlp.layers.0.linear.weight", "linear.weight"]
    )
    x = torch.randn(2, 5, 3)
    hidden = torch.relu(x @ module.mlp.layers[0].linear.weight.T) if len(units) > 1 else x  # type: ignore
    torch.testing.assert_close(module(x), hidden @ module.linear.weight.T)


def test_batch_norm_normalizes_all_elements_of_a_sequence() -> None:
    module = LinearAfterMLP(3, MLP | {"hidden_units": [4, 2], "use_bn": True}, bias=False).train()
    assert module(torch.randn(2, 5, 3)).shape == (2, 5, 2)
    assert module.mlp.layers[0].norm.num_batches_tracked == 1  # type: ignore
