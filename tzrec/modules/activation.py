"""Activations by name, as in configs: `nn.ReLU`, `nn.LeakyReLU(negative_slope=0.2)`, `Dice`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from tzrec.config.grammar import activation_problem
from tzrec.errors import ConfigError, Problem
from tzrec.modules.batch_norm import BatchNorm


class Dice(nn.Module):
    """Data-adaptive activation: `p x + (1 - p) a x` with `p = sigmoid(batch_norm(x))` and `a` learned per channel.

    Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, section 5.3.
    """

    def __init__(self, dim: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.norm = BatchNorm(dim, eps=eps, affine=False)
        self.slope = nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.norm(x))  # (B, D)
        return x * (gate + (1 - gate) * self.slope)


def activation(text: str, dim: int) -> nn.Module | None:
    """Construct the activation named by `text`.

    Args:
        text: name of a torch.nn activation, with or without `nn.` or `torch.nn.`, and optional `(key=value, ...)` with
            numbers, booleans or quoted strings as values; or `Dice`; or empty.
        dim: width of its input; only Dice has weights per channel.

    Returns:
        A module that keeps the shape, or None for an empty text.

    Raises:
        ConfigError: the text does not follow this grammar, or the activation is unknown.
    """
    if not text.strip():
        return None
    if problem := activation_problem(text):
        raise ConfigError([Problem("activation", problem)])
    name, _, argument_text = text.strip().removesuffix(")").partition("(")
    name = name.strip().removeprefix("torch.").removeprefix("nn.")
    pairs = [part.partition("=") for part in argument_text.split(",") if part.strip()]
    arguments = {key.strip(): _value(text, value.strip()) for key, _, value in pairs}
    if name == "Dice":
        return Dice(dim, **arguments)
    return _construct(text, getattr(nn, name), arguments)


def _construct(text: str, cls: type[nn.Module], arguments: dict[str, Any]) -> nn.Module:
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as error:
        raise _error(text, str(error)) from None
    return cls(**arguments)


def _value(text: str, value: str) -> Any:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value[0] in "'\"":
        return value[1:-1]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    raise _error(text, f"expected a number, true, false or a quoted string, received {value}")


def _error(text: str, message: str) -> ConfigError:
    return ConfigError([Problem("activation", f"{text}: {message}")])
