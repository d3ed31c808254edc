from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tzrec.errors import ConfigError
from tzrec.modules.dropout import Dropout
from tzrec.modules.mlp import MLP


def randomize(module: nn.Module) -> None:
    """Make every parameter and buffer say something: fresh norms are identities."""
    with torch.no_grad():
        for each in [*module.parameters(), *module.buffers()]:
            if each.is_floating_point():
                each.uniform_(0.1, 1.0)


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def naive(mlp: MLP, x: np.ndarray, layers: int, act: bool = True) -> np.ndarray:
    """One row and one output at a time, in float64, in evaluation mode."""
    w = weights(mlp)
    for i in range(layers):
        out = np.zeros((len(x), len(w[f"layers.{i}.linear.weight"])))
        for b in range(len(x)):
            for o in range(out.shape[1]):
                out[b, o] = sum(x[b, d] * w[f"layers.{i}.linear.weight"][o, d] for d in range(x.shape[1]))
                if f"layers.{i}.linear.bias" in w:
                    out[b, o] += w[f"layers.{i}.linear.bias"][o]
            if f"layers.{i}.norm.running_mean" in w:
                out[b] = (out[b] - w[f"layers.{i}.norm.running_mean"]) / np.sqrt(
                    w[f"layers.{i}.norm.running_var"] + 1e-5
                )
            elif f"layers.{i}.norm.weight" in w:
                out[b] = (out[b] - out[b].mean()) / np.sqrt(out[b].var() + 1e-5)
            if f"layers.{i}.norm.weight" in w:
                out[b] = out[b] * w[f"layers.{i}.norm.weight"] + w[f"layers.{i}.norm.bias"]
        x = np.maximum(out, 0) if act else out
    return x


@pytest.mark.parametrize(
    ("kwargs", "has_bias"),
    [
        ({}, True),
        ({"bias": False}, False),
        ({"use_bn": True}, False),
        ({"use_bn": True, "dropout_ratio": [0.9]}, False),
        ({"use_ln": True}, True),
        ({"use_ln": True, "bias": False}, False),
        ({"dropout_ratio": [0.3, 0.0]}, True),
    ],
)
def test_equals_a_naive_loop(kwargs: dict, has_bias: bool) -> None:
    torch.manual_seed(1)
    mlp = MLP(3, [5, 4], **kwargs).eval()
    randomize(mlp)
    x = torch.randn(6, 3)
    assert mlp.out_dim == 4
    assert ("layers.0.linear.bias" in mlp.state_dict()) is has_bias
    np.testing.assert_allclose(mlp(x).detach().numpy(), naive(mlp, x.double().numpy(), 2), atol=1e-5)


def test_no_activation() -> None:
    torch.manual_seed(1)
    mlp = MLP(3, [5, 4], activation="")
    x = torch.randn(6, 3)
    result = mlp(x).detach().numpy()
    assert (result < 0).any()
    np.testing.assert_allclose(result, naive(mlp, x.double().numpy(), 2, act=False), atol=1e-5)


def test_by_hand() -> None:
    mlp = MLP(2, [1])
    mlp.load_state_dict({"layers.0.linear.weight": torch.tensor([[2.0, -1.0]]), "layers.0.linear.bias": torch.ones(1)})
    # 2 * 1 - 3 + 1 = 0, 2 * 2 - 1 + 1 = 4, 2 * 0 - 5 + 1 = -4 -> 0
    result = mlp(torch.tensor([[1.0, 3.0], [2.0, 1.0], [0.0, 5.0]]))
    assert result.tolist() == [[0.0], [4.0], [0.0]]


def test_without_layers_it_is_the_identity() -> None:
    mlp = MLP(3, [], dropout_ratio=[0.5])
    x = torch.randn(2, 3)
    assert mlp.out_dim == 3
    assert torch.equal(mlp(x), x)


def test_dropout_follows_the_layer_it_is_given_for() -> None:
    torch.manual_seed(1)
    mlp = MLP(1, [1000, 1000], dropout_ratio=[0.0, 0.4], activation="")
    with torch.no_grad():
        for name, parameter in mlp.named_parameters():
            parameter.fill_(0.0 if "weight" in name else 1.0)
    result = mlp(torch.ones(1, 1))
    kept = result[result != 0]
    assert 0.35 < (result == 0).float().mean() < 0.45
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 0.6), rtol=1e-4, atol=0)
    assert mlp.eval()(torch.ones(1, 1)).eq(1).all()


def test_one_dropout_ratio_is_for_all_layers() -> None:
    ratios = [each.ratio for each in MLP(2, [3, 3, 3], dropout_ratio=[0.2]).modules() if isinstance(each, Dropout)]
    assert ratios == [0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"use_bn": True, "use_ln": True}, "choose one"),
        ({"dropout_ratio": [0.1, 0.2]}, "2 values for 3 layers; give none, one, or 3"),
    ],
)
def test_what_does_not_go_together(kwargs: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MLP(2, [3, 3, 3], **kwargs)


@pytest.mark.parametrize("ratios", [[], [0.5], [0.0, 0.3, 0.0]])
@pytest.mark.parametrize("training", [True, False])
def test_fused_runs_equal_the_layers_one_by_one(ratios: list[float], training: bool) -> None:
    """With and without dropout between the layers, values and gradients."""
    torch.manual_seed(3)
    mlp = MLP(6, [8, 5, 4], ratios).train(training)
    x = torch.randn(32, 6, requires_grad=True)
    results = []
    for forward in (mlp, mlp.layers):
        torch.manual_seed(5)
        y = forward(x)
        results.append((y, *torch.autograd.grad(y.square().sum(), [x, *mlp.parameters()])))
    for got, right in zip(*results, strict=True):
        torch.testing.assert_close(got, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kwargs", [{}, {"use_ln": True}, {"activation": "nn.Tanh"}, {"dropout_ratio": [0.5]}])
def test_hidden_layers_are_those_of_the_forward_pass(kwargs: dict) -> None:
    mlp, x = MLP(5, [7, 4, 3], **kwargs).eval(), torch.randn(6, 5)
    randomize(mlp)
    found = mlp.hidden(x)
    assert [each.shape for each in found] == [(6, 7), (6, 4), (6, 3)]
    torch.testing.assert_close(found[-1], mlp(x))
    for layer, (before, after) in zip(mlp.layers, zip([x, *found], found, strict=False), strict=True):
        torch.testing.assert_close(layer(before), after)
