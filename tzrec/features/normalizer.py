"""Normalizers of numbers, as in `method=log10,threshold=1e-10,default=-10`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tzrec.config.normalizers import EXPRESSION, parse_normalizer_spec
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import FloatArray
from tzrec.features.formula.expression import Expression

Normalizer = Callable[[FloatArray], FloatArray]


def parse_normalizer(text: str) -> Normalizer:
    """Parse the normalizer of a config.

    Raises:
        ValueError: the method or a parameter is unknown, a parameter is missing or invalid, or the formula is invalid.
    """
    spec = parse_normalizer_spec(text)
    return _expression(spec.formula) if spec.method == EXPRESSION else _MAKERS[spec.method](**spec.parameters)


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


def _log10(threshold: float, default: float) -> Normalizer:
    """x > threshold ? log10(x) : default."""

    def apply(x: FloatArray) -> FloatArray:
        values = x.astype(np.float64)
        out = np.full(values.shape, default)
        return np.log10(values, out=out, where=values > max(threshold, 0.0))

    return apply


def _zscore(mean: float, standard_deviation: float) -> Normalizer:
    """(x - mean) / standard_deviation."""
    if standard_deviation == 0:
        raise ValueError("standard_deviation must not be 0")
    return lambda x: (x.astype(np.float64) - mean) / standard_deviation


def _minmax(min: float, max: float) -> Normalizer:  # the names of the parameters in the config
    """(x - min) / (max - min)."""
    if min == max:
        raise ValueError("min and max must differ")
    return lambda x: (x.astype(np.float64) - min) / (max - min)


def _expression(formula: str) -> Normalizer:
    expression = Expression(formula)
    return lambda x: expression(x=x)


_MAKERS: Mapping[str, Callable[..., Normalizer]] = {"log10": _log10, "zscore": _zscore, "minmax": _minmax}
