"""Label and weight columns as numbers.

A label has no default: a row whose label or weight is missing is left out under every policy but ERROR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows

Values = npt.NDArray[Any]


def label_values(name: str, column: pa.Array, bad: BadRows) -> Values:
    """A label column: `(B,)` int64 or float32, or `(B, C)` of a column of lists.

    Bad rows (null, not finite, a list of another length) are reported and hold 0.

    Raises:
        DataError: the column is not numeric.
    """
    return _lists(name, column, bad) if pa.types.is_list(column.type) else _scalars(name, column, bad)


def weight_values(name: str, column: pa.Array, bad: BadRows) -> npt.NDArray[np.float32]:
    """A sample weight column `(B,)` float32; null, negative and not finite weights are reported and hold 0."""
    values = _numbers(name, column, "weight").astype(np.float32)
    _report(name, column, _null(column), "null weight", bad)
    wrong = ~_null(column) & ~(np.isfinite(values) & (values >= 0))
    _report(name, column, wrong, "not a weight", bad)
    return np.where(_null(column) | wrong, np.float32(0), values)


def _scalars(name: str, column: pa.Array, bad: BadRows) -> Values:
    values = _numbers(name, column, "label")
    _report(name, column, _null(column), "null label", bad)
    if values.dtype == np.int64:
        return values
    wrong = ~_null(column) & ~np.isfinite(values)
    _report(name, column, wrong, "not a finite number", bad)
    return np.where(wrong, np.float32(0), values)


def _lists(name: str, column: pa.Array, bad: BadRows) -> Values:
    """Lists of one length `(B, C)`; C is what most rows of the batch have."""
    lengths = np.diff(column.offsets.to_numpy())
    null = _null(column)
    width = int(np.bincount(lengths[~null]).argmax()) if not null.all() else 0
    _report(name, column, null, "null label", bad)
    _report(name, column, ~null & (lengths != width), "a list of another length", bad)
    fits = ~null & (lengths == width)
    shape = (int(fits.sum()), width)
    inner = column.filter(pa.array(fits)).flatten()
    numbers = _numbers(name, inner, "label")
    wrong = np.zeros(len(column), dtype=np.bool_)
    wrong[fits] = (_null(inner) | ~np.isfinite(numbers)).reshape(shape).any(axis=1)
    _report(name, column, wrong, "a list with a null or not finite number", bad)
    values = np.zeros((len(column), width), dtype=numbers.dtype)
    values[fits] = numbers.reshape(shape)
    values[wrong] = 0
    return values


def _null(column: pa.Array) -> npt.NDArray[np.bool_]:
    return column.is_null().to_numpy(zero_copy_only=False)


def _numbers(name: str, column: pa.Array, what: str) -> Values:
    """Values as int64 or float32, 0 for null.

    Raises:
        DataError: the column is not numeric.
    """
    types = pa.types
    if not (types.is_integer(column.type) or types.is_floating(column.type)):
        raise DataError(
            f'{what} column "{name}" is {column.type}; it must be integers, floats, or lists of them. '
            "Change the column, or for CSV declare its type in data_config.input_fields"
        )
    kind = np.int64 if types.is_integer(column.type) else np.float32
    filled = column.fill_null(0) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False).astype(kind)


def _report(name: str, column: pa.Array, where: npt.NDArray[np.bool_], reason: str, bad: BadRows) -> None:
    """Report rows, but not those of which something is known already: text that is no number came here as null."""
    known = [rows for reported, _, rows, _ in bad.reports if reported == name]
    rows = np.setdiff1d(np.flatnonzero(where), np.concatenate(known)) if known else np.flatnonzero(where)
    if len(rows):
        bad.report(name, reason, rows, column.take(pa.array(rows)).to_pylist())
