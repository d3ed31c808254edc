"""Texts inside of configs that name a function and its arguments: activations and initialisers.

Only their form and their names are looked at here, against fixed tables, so that a config is checked in no time
and without torch; `modules/activation.py` and `embedding/table.py` make something of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tzrec.config.names import hint

_CALL = re.compile(r"([\w.]+)\s*(?:\((.*)\))?", re.DOTALL)
_ARGUMENT = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s,='\"]+)\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

# modules of torch.nn that keep the shape of their input, and their arguments
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

# functions of torch.nn.init that fill a table, and their arguments
INITIALISERS: Mapping[str, Sequence[str]] = {
    "uniform_": ("a", "b"),
    "normal_": ("mean", "std"),
    "trunc_normal_": ("mean", "std", "a", "b"),
    "constant_": ("val",),
    "ones_": (),
    "zeros_": (),
    "xavier_uniform_": ("gain",),
    "xavier_normal_": ("gain",),
    "kaiming_uniform_": ("a", "mode", "nonlinearity"),
    "kaiming_normal_": ("a", "mode", "nonlinearity"),
}
_WORDS = ("mode", "nonlinearity")


def activation_problem(text: str) -> str:
    """What is wrong with an activation, or "": `nn.ReLU`, `nn.LeakyReLU(negative_slope=0.2)`, `Dice`, empty."""
    if not text.strip():
        return ""
    call = _CALL.fullmatch(text.strip())
    if call is None:
        return f'"{text}" is not an activation; expected e.g. nn.LeakyReLU(negative_slope=0.2)'
    path, arguments = call.groups()
    name = path.removeprefix("torch.").removeprefix("nn.")
    if name not in ACTIVATIONS:
        return f'unknown activation "{path}"{_dotted_hint(name, ACTIVATIONS)}'
    return _arguments_problem(path, arguments or "", ACTIVATIONS[name])


def initialiser_problem(text: str) -> str:
    """What is wrong with an initialiser, or "": `nn.init.uniform_,a=-0.01,b=0.01`."""
    path, _, arguments = text.partition(",")
    path = path.strip()
    name = path.removeprefix("torch.").removeprefix("nn.init.")
    if name not in INITIALISERS:
        return f'unknown initialiser "{path}"{_dotted_hint(name, INITIALISERS)}'
    if name == "constant_" and "val" not in arguments:
        return "nn.init.constant_ needs val, e.g. nn.init.constant_,val=0.1"
    return _arguments_problem(path, arguments, INITIALISERS[name], numbers=True)


def _dotted_hint(name: str, names: Mapping[str, Sequence[str]]) -> str:
    prefix = "nn." if names is ACTIVATIONS else "nn.init."
    dotted = {each: each if each == "Dice" else f"{prefix}{each}" for each in names}
    return hint(f"{prefix}{name}", dotted.values())


def _arguments_problem(path: str, text: str, known: Sequence[str], numbers: bool = False) -> str:
    for part in text.split(",") if text.strip() else ():
        match = _ARGUMENT.fullmatch(part)
        if match is None:
            return f'{path}: expected key=value, received "{part.strip()}"'
        key, value = match.groups()
        if key not in known:
            return f'{path} takes {", ".join(known) or "no arguments"}; received "{key}"'
        if numbers and key not in _WORDS and not _NUMBER.fullmatch(value):
            return f"{path}: {key} is a number, received {value}"
    return ""
