from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tzrec.errors import ConfigError
from tzrec.modules.dropout import Dropout
from tzrec.modules.mlp import MLP


def randomize(module: nn.Module) -> None:
    """Randomize every parameter and buffer, because initial norms are identities."""
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1.0)


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
def test_mlp_equals_loop(kwargs: dict, has_bias: bool) -> None:
    torch.manual_seed(1)
    mlp = MLP(3, [5, 4], **kwargs).eval()
    randomize(mlp)
    x = torch.randn(6, 3)
    assert mlp.out_dim == 4
    assert ("layers.0.linear.bias" in mlp.state_dict()) is has_bias
    np.testing.assert_allclose(mlp(x).detach().numpy(), naive(mlp, x.double().numpy(), 2), atol=1e-5)


def test_mlp_without_activation_is_linear() -> None:
    torch.manual_seed(1)
    mlp = MLP(3, [5, 4], activation="")
    x = torch.randn(6, 3)
    result = mlp(x).detach().numpy()
    assert (result < 0).any()
    np.testing.assert_allclose(result, naive(mlp, x.double().numpy(), 2, act=False), atol=1e-5)


def test_mlp_of_one_row() -> None:
    mlp = MLP(2, [1])
    mlp.load_state_dict({"layers.0.linear.weight": torch.tensor([[2.0, -1.0]]), "layers.0.linear.bias": torch.ones(1)})
    # 2 * 1 - 3 + 1 = 0, 2 * 2 - 1 + 1 = 4, 2 * 0 - 5 + 1 = -4 -> 0
    result = mlp(torch.tensor([[1.0, 3.0], [2.0, 1.0], [0.0, 5.0]]))
    assert result.tolist() == [[0.0], [4.0], [0.0]]


def test_mlp_without_layers_is_identity() -> None:
    mlp = MLP(3, [], dropout_ratio=[0.5])
    x = torch.randn(2, 3)
    assert mlp.out_dim == 3
    assert torch.equal(mlp(x), x)


def test_mlp_dropout_ratio_applies_to_its_layer() -> None:
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


def test_mlp_single_dropout_ratio_applies_to_all_layers() -> None:
    ratios = [
        module.ratio for module in MLP(2, [3, 3, 3], dropout_ratio=[0.2]).modules() if isinstance(module, Dropout)
    ]
    assert ratios == [0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"use_bn": True, "use_ln": True}, "choose one"),
        ({"dropout_ratio": [0.1, 0.2]}, "2 values for 3 layers; give none, one, or 3"),
    ],
)
def test_mlp_with_invalid_arguments_raises(kwargs: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MLP(2, [3, 3, 3], **kwargs)


@pytest.mark.parametrize("ratios", [[], [0.5], [0.0, 0.3, 0.0]])
@pytest.mark.parametrize("training", [True, False])
def test_mlp_fused_layers_equal_single_layers(ratios: list[float], training: bool) -> None:
    """With and without dropout between the layers, values and gradients."""
    torch.manual_seed(3)
    mlp = MLP(6, [8, 5, 4], ratios).train(training)
    x = torch.randn(32, 6, requires_grad=True)
    results = []
    for forward in (mlp, mlp.layers):
        torch.manual_seed(5)
        y = forward(x)
        results.append((y, *torch.autograd.grad(y.square().sum(), [x, *mlp.parameters()])))
    for received, expected in zip(*results, strict=True):
        torch.testing.assert_close(received, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kwargs", [{}, {"use_ln": True}, {"activation": "nn.Tanh"}, {"dropout_ratio": [0.5]}])
def test_mlp_hidden_returns_outputs_of_all_layers(kwargs: dict) -> None:
    mlp, x = MLP(5, [7, 4, 3], **kwargs).eval(), torch.randn(6, 5)
    randomize(mlp)
    outputs = mlp.hidden(x)
    assert [output.shape for output in outputs] == [(6, 7), (6, 4), (6, 3)]
    torch.testing.assert_close(outputs[-1], mlp(x))
    for layer, (before, after) in zip(mlp.layers, zip([x, *outputs], outputs, strict=False), strict=True):
        torch.testing.assert_close(layer(before), after)
