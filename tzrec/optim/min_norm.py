"""The convex combination of vectors that has the least norm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def min_norm(gram: Array, least: Array) -> Array:
    """The weights w that minimise `|sum_k w_k g_k|^2` with `sum_k w_k = 1` and `w_k >= least_k`.

    An active-set method for the quadratic program `min w' G w`: it solves the equations of Karush, Kuhn and Tucker on a
    set of free weights, holds a weight that would fall below its bound, and frees the held one whose multiplier is
    most negative. Each round lowers the norm, so no set comes twice and the result is exact up to rounding. (Lin et
    al., RecSys 2019, solve without the bounds and project after it, which is not the minimum.)

    Args:
        gram: inner products of K vectors, `(K, K)`.
        least: lower bounds, each from 0 up and below 1 together, `(K,)`.
    """
    scale = np.abs(gram).max()
    free = np.zeros(len(gram), dtype=bool)
    weights = least.astype(np.float64)
    if not scale > 0:
        return weights + (1 - weights.sum()) / len(weights)  # nothing to tell them apart
    products = gram / scale
    starts = [weights + (1 - weights.sum()) * unit for unit in np.eye(len(gram))]
    first = int(np.argmin([start @ products @ start for start in starts]))
    weights, free[first] = starts[first], True
    reached = np.inf
    while True:
        better, multiplier = _minimum(products, least, weights, free)
        norm = float(better @ products @ better)
        if not norm < reached:  # only rounding is left to gain
            return weights
        weights, reached = better, norm
        held = np.where(free, np.inf, products @ weights - multiplier)
        if not held.min() < 0:
            return weights
        free[int(held.argmin())] = True


def _minimum(products: Array, least: Array, weights: Array, free: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    """The minimum over the free weights within their bounds; in place, those that end on theirs are held."""
    wanted, multiplier = _solve(products, least, free)
    while (wanted < least)[free].any():
        weights = _step(weights, wanted, least, free)
        wanted, multiplier = _solve(products, least, free)
    return wanted, multiplier


def _solve(products: Array, least: Array, free: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    """The minimum with some weights free, bounds aside, and the rate at which it grows with the sum of the weights."""
    count, held = int(free.sum()), ~free
    matrix = np.ones((count + 1, count + 1))
    matrix[:count, :count], matrix[count, count] = products[np.ix_(free, free)], 0.0
    right = np.append(-products[np.ix_(free, held)] @ least[held], 1 - least[held].sum())
    solution = np.linalg.lstsq(matrix, right, rcond=None)[0]
    weights = least.astype(np.float64)
    weights[free] = solution[:count]
    return weights, -float(solution[count])


def _step(weights: Array, wanted: Array, least: Array, free: npt.NDArray[np.bool_]) -> Array:
    """Go towards the wanted weights until the first one meets its bound, and hold that."""
    falls = free & (wanted < least)
    shares = np.full(len(weights), np.inf)
    shares[falls] = (weights - least)[falls] / (weights - wanted)[falls]
    blocking = int(shares.argmin())
    moved = weights + shares[blocking] * (wanted - weights)
    moved[blocking], free[blocking] = least[blocking], False
    return moved  # type: ignore[no-any-return]
