"""Minimum-norm convex combination of vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def min_norm(gram: Array, lower: Array) -> Array:
    """Weights w that minimize `|sum_k w_k g_k|^2` with `sum_k w_k = 1` and `w_k >= lower_k`.

    An active-set method for the quadratic program `min w' G w`: it solves the Karush-Kuhn-Tucker equations on a set of
    free weights, fixes a weight that would fall below its bound, and frees the fixed one whose multiplier is most
    negative. Each iteration lowers the norm, so no set occurs twice and the result is exact up to rounding. (Lin et
    al., RecSys 2019, solve without the bounds and project afterwards, which is not the minimum.)

    Args:
        gram: inner products of K vectors, `(K, K)`.
        lower: lower bounds, each at least 0, with a sum below 1, `(K,)`.
    """
    scale = np.abs(gram).max()
    free = np.zeros(len(gram), dtype=bool)
    weights = lower.astype(np.float64)
    if not scale > 0:
        return weights + (1 - weights.sum()) / len(weights)  # all gradients are 0
    products = gram / scale
    starts = [weights + (1 - weights.sum()) * unit for unit in np.eye(len(gram))]
    first = int(np.argmin([start @ products @ start for start in starts]))
    weights, free[first] = starts[first], True
    min_norm_so_far = np.inf
    while True:
        better, multiplier = _minimum(products, lower, weights, free)
        norm = float(better @ products @ better)
        if not norm < min_norm_so_far:  # no improvement beyond rounding
            return weights
        weights, min_norm_so_far = better, norm
        multipliers = np.where(free, np.inf, products @ weights - multiplier)
        if not multipliers.min() < 0:
            return weights
        free[int(multipliers.argmin())] = True


def _minimum(products: Array, lower: Array, weights: Array, free: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    """Minimum over the free weights within their bounds; those that end on their bound are fixed, in place."""
    target, multiplier = _solve(products, lower, free)
    while (target < lower)[free].any():
        weights = _move(weights, target, lower, free)
        target, multiplier = _solve(products, lower, free)
    return target, multiplier


def _solve(products: Array, lower: Array, free: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    """Minimum over the free weights without bounds, and its derivative by the sum of the weights."""
    count, fixed = int(free.sum()), ~free
    matrix = np.ones((count + 1, count + 1))
    matrix[:count, :count], matrix[count, count] = products[np.ix_(free, free)], 0.0
    constants = np.append(-products[np.ix_(free, fixed)] @ lower[fixed], 1 - lower[fixed].sum())
    solution = np.linalg.lstsq(matrix, constants, rcond=None)[0]
    weights = lower.astype(np.float64)
    weights[free] = solution[:count]
    return weights, -float(solution[count])


def _move(weights: Array, target: Array, lower: Array, free: npt.NDArray[np.bool_]) -> Array:
    """Move towards the target weights until the first one reaches its bound, and fix that one."""
    decreasing = free & (target < lower)
    fractions = np.full(len(weights), np.inf)
    fractions[decreasing] = (weights - lower)[decreasing] / (weights - target)[decreasing]
    blocking = int(fractions.argmin())
    moved = weights + fractions[blocking] * (target - weights)
    moved[blocking], free[blocking] = lower[blocking], False
    return moved  # type: ignore[no-any-return]
