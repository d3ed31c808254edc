"""Activations by name, as configs write them: `nn.ReLU`, `nn.LeakyReLU(negative_slope=0.2)`, `Dice` or nothing."""

from __future__ import annotations

import difflib
import inspect
import re
from typing import Any

import torch
from torch import nn

from tzrec.errors import ConfigError, Problem

# Only modules that keep the shape of their input: GLU and its kind halve it.
# fmt: off
_NAMES = (
    "CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid",
    "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "RReLU", "SELU", "Sigmoid", "SiLU", "Softmax", "Softplus",
    "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
)
# fmt: on

_CALL = re.compile(r"(?P<name>[\w.]+)\s*(?:\((?P<arguments>.*)\))?")
_ARGUMENT = re.compile(r"\s*(?P<key>[A-Za-z_]\w*)\s*=\s*(?P<value>'[^']*'|\"[^\"]*\"|[^\s,='\"]+)\s*")


class Dice(nn.Module):
    """Data adaptive activation: `p x + (1 - p) a x` with `p = sigmoid(batch_norm(x))` and `a` learned per channel.

    Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, section 5.3.
    """

    def __init__(self, dim: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim, eps=eps, affine=False)
        self.slope = nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        share = torch.sigmoid(self.norm(x))  # (B, D)
        return x * (share + (1 - share) * self.slope)


def activation(text: str, dim: int) -> nn.Module | None:
    """The activation that `text` names.

    Args:
        text: name of a torch.nn activation, with or without `nn.` or `torch.nn.`, and optional `(key=value, ...)` with
            numbers, booleans or quoted words as values; or `Dice`; or empty.
        dim: width of what it will be applied to; only Dice has weights per channel.

    Returns:
        A module that keeps the shape, or None for an empty text.

    Raises:
        ConfigError: the text does not follow this grammar, or names nothing in the table.
    """
    if not text.strip():
        return None
    call = _CALL.fullmatch(text.strip())
    if call is None:
        raise _error(text, "expected a name and optional arguments, e.g. nn.LeakyReLU(negative_slope=0.2)")
    name = call["name"].removeprefix("torch.").removeprefix("nn.")
    if name != "Dice" and name not in _NAMES:
        raise _error(text, _did_you_mean(name))
    made = Dice if name == "Dice" else getattr(nn, name)
    arguments = _arguments(text, call["arguments"] or "")
    if made is Dice:
        arguments = {"dim": dim, **arguments}
    try:
        inspect.signature(made).bind(**arguments)
    except TypeError as error:
        raise _error(text, f"{name} takes {inspect.signature(made)}: {error}") from None
    return made(**arguments)


def _did_you_mean(name: str) -> str:
    known = {each.lower(): f"nn.{each}" for each in _NAMES} | {"dice": "Dice"}
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f'did you mean "{known[near[0]]}"?' if near else f"known are {', '.join(known.values())}"


def _arguments(text: str, arguments: str) -> dict[str, Any]:
    """Parse `key=value, key=value`."""
    parsed: dict[str, Any] = {}
    for part in arguments.split(",") if arguments.strip() else ():
        match = _ARGUMENT.fullmatch(part)
        if match is None:
            raise _error(text, f'expected key=value, received "{part.strip()}"')
        parsed[match["key"]] = _value(text, match["value"])
    return parsed


def _value(text: str, value: str) -> bool | int | float | str:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value[0] in "'\"":
        return value[1:-1]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    raise _error(text, f'expected a number, true, false or a quoted word, received "{value}"')


def _error(text: str, message: str) -> ConfigError:
    return ConfigError([Problem("activation", f'"{text}" is not an activation: {message}')])
