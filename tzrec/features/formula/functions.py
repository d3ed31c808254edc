"""Functions and operators of formulas, over numbers and over vectors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from tzrec.features.arrays import FloatArray
from tzrec.features.formula.vectors import Value, Vectors

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the earth (IUGG)."""

_SIGNIFICANT = 1 << 53
"""Largest magnitude of bitwise operands: beyond it float64 cannot represent odd integers."""


@dataclass(frozen=True)
class Function:
    """A function of formulas.

    Attributes:
        apply: takes arrays, elementwise, or Vectors of equal lengths.
        count: number of arguments, None for at least one.
    """

    apply: Callable[..., Any]
    count: int | None = 1


def _round(x: FloatArray) -> FloatArray:
    """Round to the nearest whole number, halves away from zero (numpy rounds them to even)."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _round_places(x: FloatArray, places: FloatArray) -> FloatArray:
    scale = np.power(10.0, places)
    return _round(x * scale) / scale


def _mean(*x: FloatArray) -> FloatArray:
    return reduce(np.add, x) / len(x)


def _central_angle(lng1: FloatArray, lat1: FloatArray, lng2: FloatArray, lat2: FloatArray) -> FloatArray:
    """Return the angle between two points in radians, by the spherical law of cosines."""
    a, b, span = np.radians(lat1), np.radians(lat2), np.radians(lng2 - lng1)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(span)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _haversine_angle(lng1: FloatArray, lat1: FloatArray, lng2: FloatArray, lat2: FloatArray) -> FloatArray:
    """Return the angle between two points by the haversine formula, which is exact for small distances."""
    a, b, span = np.radians(lat1), np.radians(lat2), np.radians(lng2 - lng1)
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(span / 2) ** 2
    return 2 * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))


FUNCTIONS: Mapping[str, Function] = {
    "sin": Function(np.sin),
    "cos": Function(np.cos),
    "tan": Function(np.tan),
    "asin": Function(np.arcsin),
    "acos": Function(np.arccos),
    "atan": Function(np.arctan),
    "sinh": Function(np.sinh),
    "cosh": Function(np.cosh),
    "tanh": Function(np.tanh),
    "asinh": Function(np.arcsinh),
    "acosh": Function(np.arccosh),
    "atanh": Function(np.arctanh),
    "log2": Function(np.log2),
    "log10": Function(np.log10),
    "log": Function(np.log),
    "ln": Function(np.log),
    "exp": Function(np.exp),
    "sqrt": Function(np.sqrt),
    "sign": Function(np.sign),
    "abs": Function(np.abs),
    "rint": Function(np.rint),
    "floor": Function(np.floor),
    "ceil": Function(np.ceil),
    "trunc": Function(np.trunc),
    "round": Function(_round),
    "roundp": Function(_round_places, 2),
    "mod": Function(np.fmod, 2),  # has the sign of the dividend, as in C
    "sigmoid": Function(lambda x: 1 / (1 + np.exp(-x))),
    "isnan": Function(lambda x: np.isnan(x).astype(np.float64)),
    "sphere_dist": Function(lambda *x: EARTH_RADIUS_KM * _central_angle(*x), 4),
    "haversine": Function(lambda *x: EARTH_RADIUS_KM * _haversine_angle(*x), 4),
    "min": Function(lambda *x: reduce(np.minimum, x), None),
    "max": Function(lambda *x: reduce(np.maximum, x), None),
    "sum": Function(lambda *x: reduce(np.add, x), None),
    "avg": Function(_mean, None),
}
"""Functions of numbers; vectors are mapped elementwise."""


def _total(x: Vectors) -> FloatArray:
    return x.reduce(np.add)


def _average(x: Vectors) -> FloatArray:
    return _total(x) / x.lengths


def _sum_of_squares(x: Vectors) -> FloatArray:
    """Return the sum of squares of each row."""
    return _total(Vectors(x.values * x.values, x.lengths))


def _centered(x: Vectors) -> Vectors:
    return Vectors(x.values - x.repeat(_average(x)), x.lengths)


def _dot(x: Vectors, y: Vectors) -> FloatArray:
    return _total(Vectors(x.values * y.values, x.lengths))


def _distance(x: Vectors, y: Vectors) -> FloatArray:
    return np.sqrt(_sum_of_squares(Vectors(x.values - y.values, x.lengths)))


def _correlation(x: Vectors, y: Vectors) -> FloatArray:
    """Return Pearson's correlation coefficient."""
    x, y = _centered(x), _centered(y)
    return _dot(x, y) / np.sqrt(_sum_of_squares(x) * _sum_of_squares(y))


def _variance(x: Vectors) -> FloatArray:
    return _sum_of_squares(_centered(x)) / x.lengths


def _unbiased_variance(x: Vectors) -> FloatArray:
    return _sum_of_squares(_centered(x)) / (x.lengths - 1)


VECTOR_FUNCTIONS: Mapping[str, Function] = {
    "len": Function(lambda x: x.lengths.astype(np.float64)),
    "l2_norm": Function(lambda x: np.sqrt(_sum_of_squares(x))),
    "squared_norm": Function(_sum_of_squares),
    "dot": Function(_dot, 2),
    "euclid_dist": Function(_distance, 2),
    "corr": Function(_correlation, 2),
    # "pop" divides by n - 1 for compatibility with TorchEasyRec; statistics call that the sample variance
    "std_dev": Function(lambda x: np.sqrt(_variance(x))),
    "pop_std_dev": Function(lambda x: np.sqrt(_unbiased_variance(x))),
    "variance": Function(_variance),
    "pop_variance": Function(_unbiased_variance),
    "reduce_min": Function(lambda x: x.reduce(np.minimum)),
    "reduce_max": Function(lambda x: x.reduce(np.maximum)),
    "reduce_sum": Function(_total),
    "reduce_mean": Function(_average),
    "reduce_prod": Function(lambda x: x.reduce(np.multiply)),
}
"""Functions that map the vectors of a row to one number."""


def _logical(function: Callable[[Any, Any], Any]) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Make an operator that returns 1 for true and 0 for false."""
    return lambda x, y: np.asarray(function(x, y), np.float64)


def _bitwise(function: Callable[[Any, Any], Any]) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Make an operator on the bits of the integer parts; NaN beyond 2^53."""

    def apply(x: FloatArray, y: FloatArray) -> FloatArray:
        in_range = (np.abs(x) <= _SIGNIFICANT) & (np.abs(y) <= _SIGNIFICANT)
        bits = function(np.where(in_range, x, 0).astype(np.int64), np.where(in_range, y, 0).astype(np.int64))
        return np.where(in_range, bits, np.nan)

    return apply


OPERATORS: tuple[Mapping[str, Callable[[Any, Any], Any]], ...] = (
    {"||": _logical(np.logical_or)},
    {"&&": _logical(np.logical_and)},
    {"|": _bitwise(np.bitwise_or)},
    {"&": _bitwise(np.bitwise_and)},
    {
        "<=": _logical(np.less_equal),
        ">=": _logical(np.greater_equal),
        "!=": _logical(np.not_equal),
        "==": _logical(np.equal),
        "<": _logical(np.less),
        ">": _logical(np.greater),
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
)
"""Binary operators by rising precedence, all of them left-associative."""

CONSTANTS: Mapping[str, float] = {"_pi": math.pi, "_e": math.e}


def draw(values: Iterable[Value], rows: int, index: int) -> FloatArray:
    """Draw numbers in [0, 1) that depend on the values of each row alone, `(rows,)`.

    The same row always has the same number, in training, in serving and when a run is repeated.

    Args:
        values: of all variables of the formula.
        rows: B.
        index: of the call, so that several calls in one formula are independent.
    """
    state = np.full(rows, index + 1, np.uint64)
    for value in values:
        numbers = value.reduce(np.add) if isinstance(value, Vectors) else value
        state = _splitmix64(state ^ np.ascontiguousarray(numbers, np.float64).view(np.uint64))
    return (_splitmix64(state) >> np.uint64(11)) * 2.0**-53


def _splitmix64(state: Any) -> Any:
    """Advance SplitMix64 by one step (Steele, Lea and Flood, 2014)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
