"""What custom features of the examples compute; found from the root of the repository, where Python looks first."""

from __future__ import annotations

import pyarrow as pa

from tzrec.features.types.custom_feature import Operator


class EditDistance(Operator):
    """How many letters have to be put in, left out or replaced to turn one text into the other."""

    def __call__(self, one: pa.Array, other: pa.Array) -> pa.Array:
        pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
        return pa.array([None if None in pair else _distance(*pair) for pair in pairs], pa.int64())


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))  # from nothing to each beginning of the other
    for before, letter in enumerate(one):
        corner, row[0] = row[0], before + 1
        for place, there in enumerate(other, start=1):
            corner, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, corner + (letter != there))
    return row[-1]
