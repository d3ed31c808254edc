"""Jagged: an Arrow column of any supported type, read as rows of elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from tzrec.features.column_types import fix
from tzrec.features.text.spans import Spans, split

Elements = Spans | npt.NDArray[Any]
"""N values in the type of the data: text, int64, float32 or float64."""

_ACCEPTED = "integers, floats, decimals, bool, strings, or lists of these"


@dataclass(frozen=True)
class Jagged:
    """B rows of elements; a missing row (null, "", an empty list) has none.

    Attributes:
        elements: of all rows, row after row, `(N,)`.
        lengths: int32 `(B,)`, None if every row has exactly one element.
        weights: float32 `(N,)` of a weighted column, NaN if the weight is not a number.
    """

    elements: Elements
    lengths: Int32Array | None
    weights: Float32Array | None = None

    def row_indices(self) -> Int64Array:
        """Return the row of every element, `(N,)`."""
        if self.lengths is None:
            return np.arange(len(self.elements))
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def row_lengths(self) -> Int32Array:
        """Return the number of elements of every row, `(B,)`."""
        return np.ones(len(self.elements), np.int32) if self.lengths is None else self.lengths

    def row_ends(self) -> Int64Array:
        """Return the end of every row in the elements, `(B,)`."""
        return np.cumsum(self.row_lengths(), dtype=np.int64)

    def take(self, rows: Int64Array) -> Jagged:
        """Select rows by number, each as often as it is listed; weights are dropped."""
        row_lengths = self.row_lengths()
        lengths, begins = row_lengths[rows], (np.cumsum(row_lengths) - row_lengths)[rows]
        return Jagged(self.elements[np.repeat(begins, lengths) + positions(lengths)], lengths)

    def keep(self, mask: BoolArray) -> Jagged:
        """Keep the elements of a mask `(N,)`, in the same rows."""
        rows = len(self.elements) if self.lengths is None else len(self.lengths)
        lengths = np.bincount(self.row_indices()[mask], minlength=rows).astype(np.int32)
        return Jagged(self.elements[mask], lengths, None if self.weights is None else self.weights[mask])

    def truncate(self, limit: int) -> Jagged:
        """Keep at most `limit` elements of every row, all for 0."""
        if not limit or self.lengths is None or not (self.lengths > limit).any():
            return self
        return self.keep(positions(self.lengths) < limit)


def positions(lengths: Int32Array) -> Int64Array:
    """Return the position of each element in its row, `(N,)`, from the elements of each row `(B,)`."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths, dtype=np.int64) - lengths, lengths)


def read_jagged(array: pa.Array, column: str, separator: str, limit: int = 0, weighted: bool = False) -> Jagged:
    """Read an Arrow column as rows of elements.

    Args:
        array: B rows of integers, floats, bool, strings, lists of these, or maps when weighted.
        column: its name, for the error.
        separator: separates the values of a string.
        limit: number of values to keep per row, 0 for all.
        weighted: read strings as `id:weight`, and maps as ids (keys) with weights (items).

    Raises:
        DataError: the column has another type.
    """
    array = to_plain(array)
    kind = array.type
    if pa.types.is_null(kind):
        rows = Jagged(np.empty(0, np.int64), np.zeros(len(array), np.int32))
    elif is_text(kind):
        spans, lengths = split(array, separator, limit)
        rows = Jagged(spans, _none_if_single(lengths))
    elif weighted and pa.types.is_map(kind):
        rows = _read_map(array, _type_error(column, kind, weighted)).truncate(limit)
    elif is_list(kind):
        rows = _read_list(array, _type_error(column, kind, weighted)).truncate(limit)
    else:
        rows = _read_flat(array, _type_error(column, kind, weighted))
    return _with_weights(rows) if weighted and rows.weights is None else rows


def _with_weights(rows: Jagged) -> Jagged:
    if isinstance(rows.elements, Spans):
        elements, weights = rows.elements.split_weights()
        return Jagged(elements, rows.lengths, weights)
    return Jagged(rows.elements, rows.lengths, np.ones(len(rows.elements), np.float32))


def to_plain(array: pa.Array) -> pa.Array:
    """Convert dictionary-encoded and string-view arrays to their plain layout; others are unchanged."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def is_text(kind: pa.DataType) -> bool:
    """Return true for strings in a single buffer."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Return true for lists of any kind."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _none_if_single(lengths: Int32Array | None) -> Int32Array | None:
    return None if lengths is None or (lengths == 1).all() else lengths


def _type_error(column: str, kind: pa.DataType, weighted: bool) -> DataError:
    accepted = f"{_ACCEPTED}, or maps from id to weight" if weighted else _ACCEPTED
    return DataError(
        f'column "{column}" has type {kind}, which this feature cannot read; it accepts {accepted}: '
        f"{fix(kind)}, or choose another column in the feature's expression"
    )


def _read_flat(array: pa.Array, type_error: DataError) -> Jagged:
    """Read a column without lists: one element in each row, none for null or ""."""
    array = to_plain(array)
    if pa.types.is_null(array.type):
        return Jagged(np.empty(0, np.int64), np.zeros(len(array), np.int32))
    if is_text(array.type):
        spans, lengths = split(array)
        return Jagged(spans, _none_if_single(lengths))
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise type_error
    if not array.null_count:
        return Jagged(_numbers(array), None)
    lengths = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int32)
    return Jagged(_numbers(array.drop_null()), lengths)


def _numbers(array: pa.Array) -> Elements:
    """Convert an array of numbers without nulls, without a copy for int64, float32 and float64."""
    if pa.types.is_uint64(array.type) and len(array) and pc.max(array).as_py() >= 1 << 63:
        return split(array.cast(pa.large_string()))[0]  # beyond int64, so it is kept as text
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values if values.dtype.kind == "f" else values.astype(np.int64, copy=False)


def _read_list(array: pa.Array, type_error: DataError) -> Jagged:
    """Read a column of lists; null and "" inside a list are left out."""
    lengths = list_lengths(array)
    inner = _read_flat(array.flatten(), type_error)
    if inner.lengths is not None:
        row_indices = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(row_indices, weights=inner.lengths, minlength=len(lengths)).astype(np.int32)
    return Jagged(inner.elements, _none_if_single(lengths))


def list_lengths(array: pa.Array) -> Int32Array:
    """Return the items per row `(B,)`, 0 for a null list."""
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int32, copy=False)  # type: ignore[no-any-return]


def read_map(array: pa.Array, column: str) -> tuple[Elements, Elements, Int32Array]:
    """Read an Arrow column of maps, without pairs whose key or value is null or "".

    Args:
        array: B rows.
        column: its name, for the error.

    Returns:
        keys and values of all rows, row after row, `(N,)`, and pairs per row `(B,)`.

    Raises:
        DataError: keys or values are neither text nor numbers.
    """
    lengths, keys, values = _map_parts(array, _type_error(column, array.type, True))
    complete = (keys.row_lengths() > 0) & (values.row_lengths() > 0)
    pairs = Jagged(np.empty(len(complete), np.int64), lengths).keep(complete)
    keys, values = keys.keep(complete[keys.row_indices()]), values.keep(complete[values.row_indices()])
    return keys.elements, values.elements, pairs.row_lengths()


def _map_parts(array: pa.Array, type_error: DataError) -> tuple[Int32Array, Jagged, Jagged]:
    """Return the pairs per row, and keys and values with one row for each pair."""
    offsets = pa.array(array.offsets.to_numpy())  # from_arrays takes a mask only with offsets that are not a slice
    null = array.is_null()
    ids = pa.ListArray.from_arrays(offsets, array.keys, mask=null)
    items = pa.ListArray.from_arrays(offsets, array.items, mask=null)
    return list_lengths(ids), _read_flat(ids.flatten(), type_error), _read_flat(items.flatten(), type_error)


def _read_map(array: pa.Array, type_error: DataError) -> Jagged:
    """Read a column of maps from id to weight; an id with weight null weighs 1."""
    lengths, keys, items = _map_parts(array, type_error)
    weights = np.ones(int(lengths.sum()), np.float32)
    weights[items.row_indices()] = _to_weights(items.elements)
    has_key = np.ones(len(weights), np.bool_) if keys.lengths is None else keys.lengths == 1
    rows = Jagged(weights, lengths).keep(has_key)  # the key "" is left out, and its weight with it
    return Jagged(keys.elements, _none_if_single(rows.lengths), weights[has_key])


def _to_weights(elements: Elements) -> Float32Array:
    if not isinstance(elements, Spans):
        return elements.astype(np.float32)
    values, valid = elements.parse_floats()
    return np.where(valid, values, np.nan).astype(np.float32)
