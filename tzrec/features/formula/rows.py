"""Rows of numbers as values of formulas, and results of formulas as Arrow arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, FloatArray
from tzrec.features.formula.vectors import Value, Vectors
from tzrec.features.jagged import Jagged


def to_value(rows: Jagged, mask: BoolArray) -> Value:
    """Return the numbers or vectors of the rows of a mask `(B,)`, none of which is empty."""
    assert isinstance(rows.elements, np.ndarray)
    if rows.lengths is None:
        return rows.elements[mask]
    lengths = rows.lengths[mask].astype(np.int64)
    values = rows.elements[np.repeat(mask, rows.lengths)].astype(np.float64)
    return values if (lengths == 1).all() else Vectors(values, lengths)


def to_arrow(result: FloatArray | Vectors, mask: BoolArray) -> pa.Array:
    """Convert the result for the rows of a mask to an Arrow array of all rows, null or empty in the other rows."""
    if isinstance(result, Vectors):
        lengths = np.zeros(len(mask), np.int64)
        lengths[mask] = result.lengths
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(result.values, from_pandas=False))
    numbers = np.zeros(len(mask))
    numbers[mask] = result
    return pa.array(numbers, mask=~mask, from_pandas=False)
