"""Grammar of normalizers: `method=log10,threshold=1e-10,default=-10` or `method=expression,expr=...`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tzrec.config.names import did_you_mean

PARAMETERS: Mapping[str, Mapping[str, float | None]] = {
    "log10": {"threshold": 1e-10, "default": -10.0},
    "zscore": {"mean": None, "standard_deviation": None},
    "minmax": {"min": None, "max": None},
}
"""Parameters of each method and their defaults; None for a parameter that must be set."""

EXPRESSION = "expression"
"""Method whose only parameter is a formula in x."""

_METHODS = (*PARAMETERS, EXPRESSION)


class NormalizerSpec(NamedTuple):
    """Parsed normalizer.

    Attributes:
        method: key of PARAMETERS, or EXPRESSION.
        parameters: all parameters of the method.
        formula: formula of EXPRESSION, as written.
    """

    method: str
    parameters: Mapping[str, float]
    formula: str = ""


def parse_normalizer_spec(text: str) -> NormalizerSpec:
    """Parse a normalizer; a formula is not parsed itself.

    Raises:
        ValueError: The method or a parameter is unknown, missing or not a number.
    """
    head, formula, *_ = (*re.split(r"\bexpr\s*=", text, maxsplit=1), "")  # a formula may contain commas
    arguments = dict(_pair(part) for part in head.split(",") if part.strip())
    method = arguments.pop("method", "")
    if method not in _METHODS:
        example = "write e.g. method=zscore,mean=0,standard_deviation=1"
        raise ValueError(f'unknown method "{method}"{did_you_mean(method, _METHODS)}; {example}')
    if method == EXPRESSION:
        if not formula.strip():
            raise ValueError("method=expression needs expr, e.g. method=expression,expr=sign(x)*log(1+x)")
        return NormalizerSpec(method, {}, formula)
    return NormalizerSpec(method, _parameters(method, arguments))


def normalizer_problem(text: str) -> str:
    """Return the problem of a normalizer, or ""; an empty normalizer is valid."""
    try:
        if text:
            parse_normalizer_spec(text)
    except ValueError as error:
        return str(error)
    return ""


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key.strip(), value.strip()


def _parameters(method: str, arguments: Mapping[str, str]) -> dict[str, float]:
    defaults = PARAMETERS[method]
    for name, value in arguments.items():
        if name not in defaults:
            raise ValueError(f'{method} has no parameter "{name}"{did_you_mean(name, defaults)}')
        if not is_number(value):
            raise ValueError(f'{method}: {name} is a number, received "{value}"')
    missing = [name for name, default in defaults.items() if default is None and name not in arguments]
    if missing:
        raise ValueError(f"{method} needs {' and '.join(missing)}")
    return {name: float(arguments.get(name, default)) for name, default in defaults.items()}  # type: ignore[arg-type]


def is_number(text: str) -> bool:
    """True if a string is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
