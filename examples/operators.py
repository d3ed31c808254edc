"""Operators of the custom features in examples/configs; importable from the root of the repository."""

from __future__ import annotations

import pyarrow as pa

from tzrec.features.types.custom_feature import Operator


class EditDistance(Operator):
    """Levenshtein distance: the number of insertions, deletions and substitutions that turn one text into the other."""

    def __call__(self, sources: pa.Array, targets: pa.Array) -> pa.Array:
        pairs = zip(sources.to_pylist(), targets.to_pylist(), strict=True)
        return pa.array([_distance(*pair) if all(pair) else None for pair in pairs], pa.int64())


def _distance(source: str, target: str) -> int:
    row = list(range(len(target) + 1))  # distances from the empty text to each prefix of the target
    for i, letter in enumerate(source):
        diagonal, row[0] = row[0], i + 1
        for j, other in enumerate(target, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != other))
    return row[-1]
