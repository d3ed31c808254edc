"""What formulas can compute: functions and operators of numbers, and functions of vectors."""

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
"""Beyond it float64 holds no odd integers, so there are no bits to speak of."""


@dataclass(frozen=True)
class Function:
    """A function of formulas.

    Attributes:
        apply: of arrays number by number, or of Vectors with equal lengths.
        count: how many arguments it takes, None for any number from 1 up.
    """

    apply: Callable[..., Any]
    count: int | None = 1


def _round(x: FloatArray) -> FloatArray:
    """To the nearest whole number, halves away from zero, unlike numpy's."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _round_places(x: FloatArray, places: FloatArray) -> FloatArray:
    scale = np.power(10.0, places)
    return _round(x * scale) / scale


def _mean(*x: FloatArray) -> FloatArray:
    return reduce(np.add, x) / len(x)


def _central_angle(lng1: FloatArray, lat1: FloatArray, lng2: FloatArray, lat2: FloatArray) -> FloatArray:
    """Angle between two points by the law of cosines, in radians."""
    a, b, span = np.radians(lat1), np.radians(lat2), np.radians(lng2 - lng1)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(span)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _haversine_angle(lng1: FloatArray, lat1: FloatArray, lng2: FloatArray, lat2: FloatArray) -> FloatArray:
    """The same by half angles, which keeps small distances exact."""
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
    "mod": Function(np.fmod, 2),  # the sign is that of the first, as in C
    "sigmoid": Function(lambda x: 1 / (1 + np.exp(-x))),
    "isnan": Function(lambda x: np.isnan(x).astype(np.float64)),
    "sphere_dist": Function(lambda *x: EARTH_RADIUS_KM * _central_angle(*x), 4),
    "haversine": Function(lambda *x: EARTH_RADIUS_KM * _haversine_angle(*x), 4),
    "min": Function(lambda *x: reduce(np.minimum, x), None),
    "max": Function(lambda *x: reduce(np.maximum, x), None),
    "sum": Function(lambda *x: reduce(np.add, x), None),
    "avg": Function(_mean, None),
}
"""Functions of numbers; of vectors they are taken number by number."""


def _total(x: Vectors) -> FloatArray:
    return x.reduce(np.add)


def _average(x: Vectors) -> FloatArray:
    return _total(x) / x.lengths


def _squares(x: Vectors) -> FloatArray:
    """Sum of squares of each row."""
    return _total(Vectors(x.values * x.values, x.lengths))


def _centered(x: Vectors) -> Vectors:
    return Vectors(x.values - x.spread(_average(x)), x.lengths)


def _dot(x: Vectors, y: Vectors) -> FloatArray:
    return _total(Vectors(x.values * y.values, x.lengths))


def _distance(x: Vectors, y: Vectors) -> FloatArray:
    return np.sqrt(_squares(Vectors(x.values - y.values, x.lengths)))


def _correlation(x: Vectors, y: Vectors) -> FloatArray:
    """Pearson's r."""
    x, y = _centered(x), _centered(y)
    return _dot(x, y) / np.sqrt(_squares(x) * _squares(y))


def _variance(x: Vectors) -> FloatArray:
    return _squares(_centered(x)) / x.lengths


def _unbiased_variance(x: Vectors) -> FloatArray:
    return _squares(_centered(x)) / (x.lengths - 1)


VECTOR_FUNCTIONS: Mapping[str, Function] = {
    "len": Function(lambda x: x.lengths.astype(np.float64)),
    "l2_norm": Function(lambda x: np.sqrt(_squares(x))),
    "squared_norm": Function(_squares),
    "dot": Function(_dot, 2),
    "euclid_dist": Function(_distance, 2),
    "corr": Function(_correlation, 2),
    # the dialect calls "pop" what divides by n - 1, the other way round than statistics does
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
"""From the vectors of a row to one number."""


def _truth(function: Callable[[Any, Any], Any]) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """An operator that says 1 for true and 0 for false."""
    return lambda x, y: np.asarray(function(x, y), np.float64)


def _bits(function: Callable[[Any, Any], Any]) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """An operator on the bits of whole numbers; what is behind the point is dropped."""

    def apply(x: FloatArray, y: FloatArray) -> FloatArray:
        fit = (np.abs(x) <= _SIGNIFICANT) & (np.abs(y) <= _SIGNIFICANT)
        bits = function(np.where(fit, x, 0).astype(np.int64), np.where(fit, y, 0).astype(np.int64))
        return np.where(fit, bits, np.nan)

    return apply


OPERATORS: tuple[Mapping[str, Callable[[Any, Any], Any]], ...] = (
    {"||": _truth(np.logical_or)},
    {"&&": _truth(np.logical_and)},
    {"|": _bits(np.bitwise_or)},
    {"&": _bits(np.bitwise_and)},
    {
        "<=": _truth(np.less_equal),
        ">=": _truth(np.greater_equal),
        "!=": _truth(np.not_equal),
        "==": _truth(np.equal),
        "<": _truth(np.less),
        ">": _truth(np.greater),
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
)
"""Binary operators from the weakest to the strongest, all of them from left to right."""

CONSTANTS: Mapping[str, float] = {"_pi": math.pi, "_e": math.e}


def draw(values: Iterable[Value], rows: int, index: int) -> FloatArray:
    """Random numbers in [0, 1) made from the values of each row, `(rows,)`.

    The same row always gets the same number, in training, in serving and when a run is repeated.

    Args:
        values: of all variables of the formula.
        rows: B.
        index: of the call, for several in one formula are independent.
    """
    state = np.full(rows, index + 1, np.uint64)
    for value in values:
        numbers = value.reduce(np.add) if isinstance(value, Vectors) else value
        state = _mixed(state ^ np.ascontiguousarray(numbers, np.float64).view(np.uint64))
    return (_mixed(state) >> np.uint64(11)) * 2.0**-53


def _mixed(state: Any) -> Any:
    """One step of SplitMix64 (Steele, Lea and Flood, 2014)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
