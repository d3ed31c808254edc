"""Normalizers of numbers, as in `method=log10,threshold=1e-10,default=-10`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import FloatArray
from tzrec.features.formula.expression import Expression

Normalizer = Callable[[FloatArray], FloatArray]


def parse_normalizer(text: str) -> Normalizer:
    """Parse the normalizer of a config.

    Raises:
        ValueError: the method or a parameter is unknown, a parameter is missing or not a number, or the formula is
            invalid.
    """
    head, formula, *_ = (*re.split(r"\bexpr\s*=", text, maxsplit=1), "")  # a formula may contain commas
    pairs = dict(_pair(part) for part in head.split(",") if part.strip())
    method = pairs.pop("method", "")
    if method == "expression":
        return _expression(formula)
    if method not in _METHODS:
        raise ValueError(f'"{text}": method must be one of {", ".join(_METHODS)}, expression')
    make, defaults = _METHODS[method]
    return make(_parameters(text, pairs, defaults))


def make_normalizer(config: Any) -> Normalizer | None:
    """Build the normalizer of a feature message, None if it has none.

    Raises:
        ConfigError: it cannot be read.
    """
    text = getattr(config, "normalizer", "")
    try:
        return parse_normalizer(text) if text else None
    except ValueError as error:
        raise ConfigError([Problem("normalizer", str(error))]) from None


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key.strip(), value.strip()


def _parameters(text: str, received: Mapping[str, str], defaults: Mapping[str, float | None]) -> dict[str, float]:
    unknown = sorted(received.keys() - defaults.keys())
    if unknown:
        raise ValueError(f'"{text}": no parameter "{unknown[0]}"; there are {", ".join(defaults)}')
    values = {}
    for name, default in defaults.items():
        value = received.get(name, default)
        if value is None:
            raise ValueError(f'"{text}": {name} is missing')
        try:
            values[name] = float(value)
        except ValueError:
            raise ValueError(f'"{text}": {name} is not a number') from None
    return values


def _log10(p: Mapping[str, float]) -> Normalizer:
    """x > threshold ? log10(x) : default."""

    def apply(x: FloatArray) -> FloatArray:
        values = x.astype(np.float64)
        out = np.full(values.shape, p["default"])
        return np.log10(values, out=out, where=values > max(p["threshold"], 0.0))

    return apply


def _zscore(p: Mapping[str, float]) -> Normalizer:
    """(x - mean) / standard_deviation."""
    if p["standard_deviation"] == 0:
        raise ValueError("standard_deviation must not be 0")
    return lambda x: (x.astype(np.float64) - p["mean"]) / p["standard_deviation"]


def _minmax(p: Mapping[str, float]) -> Normalizer:
    """(x - min) / (max - min)."""
    if p["min"] == p["max"]:
        raise ValueError("min and max must differ")
    return lambda x: (x.astype(np.float64) - p["min"]) / (p["max"] - p["min"])


def _expression(formula: str) -> Normalizer:
    parsed = Expression(formula)
    return lambda x: parsed(x=x)


_METHODS: dict[str, tuple[Callable[[Mapping[str, float]], Normalizer], dict[str, float | None]]] = {
    "log10": (_log10, {"threshold": 1e-10, "default": -10.0}),
    "zscore": (_zscore, {"mean": None, "standard_deviation": None}),
    "minmax": (_minmax, {"min": None, "max": None}),
}
