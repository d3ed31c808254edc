from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from tzrec.config.grammar import ACTIVATIONS
from tzrec.errors import ConfigError
from tzrec.modules.activation import Dice, activation

X = torch.tensor([[-2.0, 0.5], [3.0, -1.0]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nn.ReLU", [[0.0, 0.5], [3.0, 0.0]]),
        ("torch.nn.ReLU()", [[0.0, 0.5], [3.0, 0.0]]),
        ("ReLU", [[0.0, 0.5], [3.0, 0.0]]),
        ("nn.LeakyReLU(negative_slope=0.25)", [[-0.5, 0.5], [3.0, -0.25]]),
        ("nn.LeakyReLU( negative_slope = 25e-2 , inplace = False )", [[-0.5, 0.5], [3.0, -0.25]]),
        ("nn.Hardtanh(min_val=-1, max_val=1)", [[-1.0, 0.5], [1.0, -1.0]]),
        ("nn.Threshold(threshold=0, value=7)", [[7.0, 0.5], [3.0, 7.0]]),
        ("nn.Softplus(beta=1)", [[0.126928, 0.974077], [3.048587, 0.313262]]),
    ],
)
def test_activation_of_name_and_arguments_equals_torch(text: str, expected: list[list[float]]) -> None:
    torch.testing.assert_close(activation(text, 2)(X.clone()), torch.tensor(expected), rtol=0, atol=1e-6)


def test_activation_with_quoted_argument() -> None:
    made = activation("nn.GELU(approximate='tanh')", 2)
    torch.testing.assert_close(made(X), nn.functional.gelu(X, approximate="tanh"))
    assert not torch.equal(made(X), nn.functional.gelu(X))


@pytest.mark.parametrize("text", ["", "  "])
def test_activation_of_empty_text_is_none(text: str) -> None:
    assert activation(text, 2) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nn.RELU", 'unknown activation "nn.RELU"; did you mean "nn.ReLU"?'),
        ("nn.Linear", 'unknown activation "nn.Linear"'),
        ("nn.LeakyReLU(0.2)", 'expected key=value, received "0.2"'),
        ("nn.LeakyReLU(slope=0.2)", 'takes negative_slope, inplace; received "slope"'),
        ("nn.ReLU(inplace=__import__)", "expected a number, true, false or a quoted string, received __import__"),
        ("nn.Threshold", "missing a required argument: 'threshold'"),
        ("lambda x: x", '"lambda x: x" is not an activation'),
        ("__import__('os').system('true')", "unknown activation"),
    ],
)
def test_activation_of_invalid_text_raises(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        activation(text, 2)
    assert message in str(caught.value)


def test_activation_accepted_by_check_is_constructed() -> None:
    """The table of activations of the config check agrees with torch."""
    for name, known in ACTIVATIONS.items():
        takes = inspect.signature(Dice if name == "Dice" else getattr(nn, name)).parameters
        assert set(known) <= set(takes), name
        required = [key for key in known if takes[key].default is inspect.Parameter.empty]
        assert activation(f"nn.{name}({', '.join(f'{key}=1' for key in required)})", 2)(X.clone()).shape == X.shape


def test_dice_in_evaluation_uses_running_statistics() -> None:
    """With the initial running mean 0 and variance 1, p = sigmoid(x): -2 and 0.5 have 0.119203 and 0.622459."""
    dice = activation("Dice", 2).eval()
    assert isinstance(dice, Dice)
    expected = torch.tensor([[-2.0 * 0.119203, 0.5 * 0.622459]])
    torch.testing.assert_close(dice(X[:1]), expected, rtol=0, atol=1e-5)
    nn.init.constant_(dice.slope, 0.5)  # p x + (1 - p) x / 2
    torch.testing.assert_close(dice(X[:1]), expected + 0.5 * (X[:1] - expected), rtol=0, atol=1e-5)


def test_dice_in_training_normalizes_by_batch() -> None:
    """Each column of two different values normalizes to -1 and +1."""
    low, high = torch.sigmoid(torch.tensor([-1.0, 1.0])).tolist()
    expected = X * torch.tensor([[low, high], [high, low]])
    torch.testing.assert_close(Dice(2)(X), expected, rtol=0, atol=1e-5)
