"""Grammars of strings that name a function and its arguments: activations and initializers.

Names and parameters are listed here, without torch, so that `tzrec check` is fast; `modules/activation.py` and
`tables/initialization.py` build what they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tzrec.config.names import did_you_mean

_CALL = re.compile(r"([\w.]+)\s*(?:\((.*)\))?", re.DOTALL)
_ARGUMENT = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s,='\"]+)\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

ACTIVATIONS: Mapping[str, Sequence[str]] = {
    "CELU": ("alpha", "inplace"),
    "ELU": ("alpha", "inplace"),
    "GELU": ("approximate",),
    "Hardshrink": ("lambd",),
    "Hardsigmoid": ("inplace",),
    "Hardswish": ("inplace",),
    "Hardtanh": ("min_val", "max_val", "inplace"),
    "Identity": (),
    "LeakyReLU": ("negative_slope", "inplace"),
    "LogSigmoid": (),
    "LogSoftmax": ("dim",),
    "Mish": ("inplace",),
    "PReLU": ("num_parameters", "init"),
    "ReLU": ("inplace",),
    "ReLU6": ("inplace",),
    "RReLU": ("lower", "upper", "inplace"),
    "SELU": ("inplace",),
    "Sigmoid": (),
    "SiLU": ("inplace",),
    "Softmax": ("dim",),
    "Softplus": ("beta", "threshold"),
    "Softshrink": ("lambd",),
    "Softsign": (),
    "Tanh": (),
    "Tanhshrink": (),
    "Threshold": ("threshold", "value", "inplace"),
    "Dice": ("eps",),
}
"""Modules of torch.nn that keep the shape of their input, and Dice, with their parameters."""

INITIALIZERS: Mapping[str, Mapping[str, type]] = {
    "uniform_": {"a": float, "b": float},
    "normal_": {"mean": float, "std": float},
    "trunc_normal_": {"mean": float, "std": float, "a": float, "b": float},
    "constant_": {"val": float},
    "ones_": {},
    "zeros_": {},
    "xavier_uniform_": {"gain": float},
    "xavier_normal_": {"gain": float},
    "kaiming_uniform_": {"a": float, "mode": str, "nonlinearity": str},
    "kaiming_normal_": {"a": float, "mode": str, "nonlinearity": str},
}
"""Functions of torch.nn.init for embedding tables, with the types of their parameters."""


def activation_problem(text: str) -> str:
    """Validate an activation: `nn.ReLU`, `nn.LeakyReLU(negative_slope=0.2)`, `Dice` or an empty string.

    Returns:
        The problem, or "".
    """
    if not text.strip():
        return ""
    call = _CALL.fullmatch(text.strip())
    if call is None:
        return f'"{text}" is not an activation; expected e.g. nn.LeakyReLU(negative_slope=0.2)'
    path, arguments = call.groups()
    name = path.removeprefix("torch.").removeprefix("nn.")
    if name not in ACTIVATIONS:
        dotted = (known if known == "Dice" else f"nn.{known}" for known in ACTIVATIONS)
        return f'unknown activation "{path}"{did_you_mean(f"nn.{name}", dotted)}'
    try:
        list(_arguments(path, arguments or "", ACTIVATIONS[name]))
    except ValueError as error:
        return str(error)
    return ""


def initializer_problem(text: str) -> str:
    """Validate an initializer: `nn.init.uniform_,a=-0.01,b=0.01`, or an empty string for the default.

    Returns:
        The problem, or "".
    """
    try:
        if text:
            parse_initializer_call(text)
    except ValueError as error:
        return str(error)
    return ""


def parse_initializer_call(text: str) -> tuple[str, dict[str, float | str]]:
    """Parse `nn.init.uniform_,a=-0.01,b=0.01`.

    Returns:
        Name of the function in torch.nn.init, and its keyword arguments.

    Raises:
        ValueError: The function or a parameter is unknown, or an argument has the wrong type.
    """
    path, _, arguments = text.partition(",")
    path = path.strip()
    name = path.removeprefix("torch.").removeprefix("nn.init.")
    if name not in INITIALIZERS:
        dotted = [f"nn.init.{known}" for known in INITIALIZERS]
        raise ValueError(f'unknown initializer "{path}"{did_you_mean(f"nn.init.{name}", dotted)}')
    types = INITIALIZERS[name]
    kwargs: dict[str, float | str] = {}
    for key, value in _arguments(path, arguments, types):
        if types[key] is float and not _NUMBER.fullmatch(value):
            raise ValueError(f"{path}: {key} is a number, received {value}")
        if types[key] is str and value[0] not in "'\"":
            raise ValueError(f"{path}: {key} is a quoted name, received {value}")
        kwargs[key] = float(value) if types[key] is float else value[1:-1]
    if name == "constant_" and "val" not in kwargs:
        raise ValueError("nn.init.constant_ needs val, e.g. nn.init.constant_,val=0.1")
    return name, kwargs


def _arguments(path: str, text: str, known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Split `key=value, key=value`; values are not converted."""
    for part in text.split(",") if text.strip() else ():
        match = _ARGUMENT.fullmatch(part)
        if match is None:
            raise ValueError(f'{path}: expected key=value, received "{part.strip()}"')
        key, value = match.groups()
        if key not in known:
            raise ValueError(f'{path} takes {", ".join(known) or "no arguments"}; received "{key}"')
        yield key, value
