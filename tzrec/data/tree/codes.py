"""Codes of the nodes of a tree with n children per node: the root is 0, the children of c are n c + 1 ... n c + n.

Level 0 is the root. All formulas are in integers: a logarithm is wrong where n^l is not exact.
"""

from __future__ import annotations

import numpy as np

from tzrec.features.arrays import Int64Array


def first_code(level: int, n: int) -> int:
    """Return the smallest code of a level, `(n^level - 1) / (n - 1)`."""
    return int((n**level - 1) // (n - 1))


def depth_of(num_leaves: int, n: int) -> int:
    """Return the smallest level that has room for all leaves, at least 1: a leaf is never the root."""
    depth = 1
    while n**depth < num_leaves:
        depth += 1
    return depth


def levels_of(codes: Int64Array, n: int) -> Int64Array:
    """Return the level of each code, `(N,)`."""
    firsts = [0]
    while len(codes) and firsts[-1] <= codes.max():
        firsts.append(first_code(len(firsts), n))
    return np.searchsorted(np.array(firsts, dtype=np.int64), codes, side="right") - 1


def parents_of(codes: Int64Array, n: int) -> Int64Array:
    """Return the code of the parent of each node, `(N,)`; the root has none and gives -1."""
    return (codes - 1) // n


def lower_to(codes: Int64Array, level: int, n: int) -> Int64Array:
    """Move each code to a level: to its first child, to the first child of that one, and so on."""
    lowered, smallest = codes.copy(), first_code(level, n)
    while len(lowered) and lowered.min() < smallest:
        is_above = lowered < smallest
        lowered[is_above] = n * lowered[is_above] + 1
    return lowered


def split_codes(num_leaves: int, n: int) -> Int64Array:
    """Return a code for each of some leaves in a row, `(N,)`, by splitting the row into n equal parts over and over.

    Part i of L leaves reaches from `i L // n` to `(i + 1) L // n`, and its code is the child n - i of that of the row,
    so that codes decrease along the row. A part with one leaf is not split.
    """
    codes = np.zeros(num_leaves, dtype=np.int64)
    starts, stops, parts = np.array([0]), np.array([num_leaves]), np.array([0])
    while len(parts):
        is_leaf = stops - starts == 1
        codes[starts[is_leaf]] = parts[is_leaf]
        starts, stops, parts = starts[~is_leaf], stops[~is_leaf], parts[~is_leaf]
        bounds = starts[:, None] + np.arange(n + 1) * (stops - starts)[:, None] // n  # (parts, n + 1)
        children = n * parts[:, None] + n - np.arange(n)  # (parts, n)
        is_filled = bounds[:, 1:] > bounds[:, :-1]
        starts, stops, parts = bounds[:, :-1][is_filled], bounds[:, 1:][is_filled], children[is_filled]
    return codes
