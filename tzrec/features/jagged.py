"""Ragged: an Arrow column of whatever type, read as rows of elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from tzrec.features.text.spans import Spans, split

Elements = Spans | npt.NDArray[Any]
"""N values as the data holds them: text, int64, float32 or float64."""

_ACCEPTED = "integers, floats, bool, strings, or lists of these"


@dataclass(frozen=True)
class Jagged:
    """B rows of elements; a missing row (null, "", an empty list) has none.

    Attributes:
        elements: of all rows, row after row, `(N,)`.
        lengths: int32 `(B,)`, None where every row has exactly one.
        weights: float32 `(N,)` of a weighted column, NaN where the weight is no number.
    """

    elements: Elements
    lengths: Int32Array | None
    weights: Float32Array | None = None

    def owners(self) -> Int64Array:
        """Row number of every element, `(N,)`."""
        if self.lengths is None:
            return np.arange(len(self.elements))
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def counts(self) -> Int32Array:
        """Elements of every row, `(B,)`."""
        return np.ones(len(self.elements), np.int32) if self.lengths is None else self.lengths

    def take(self, rows: Int64Array) -> Jagged:
        """Other rows: those with these numbers, each as often as it is named; weights are left behind."""
        counts = self.counts()
        lengths, begins = counts[rows], (np.cumsum(counts) - counts)[rows]
        return Jagged(self.elements[np.repeat(begins, lengths) + positions(lengths)], lengths)

    def keep(self, chosen: BoolArray) -> Jagged:
        """Only the chosen elements, in the same rows."""
        rows = len(self.elements) if self.lengths is None else len(self.lengths)
        lengths = np.bincount(self.owners()[chosen], minlength=rows).astype(np.int32)
        return Jagged(self.elements[chosen], lengths, None if self.weights is None else self.weights[chosen])

    def first(self, limit: int) -> Jagged:
        """At most `limit` elements of every row, all for 0."""
        if not limit or self.lengths is None or not (self.lengths > limit).any():
            return self
        return self.keep(positions(self.lengths) < limit)


def positions(lengths: Int32Array) -> Int64Array:
    """The number of each element in its row, `(N,)`, from the elements of each row `(B,)`."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths, dtype=np.int64) - lengths, lengths)


def read(array: pa.Array, column: str, separator: str, limit: int = 0, weighted: bool = False) -> Jagged:
    """Read an Arrow column as rows of elements.

    Args:
        array: B rows of integers, floats, bool, strings, lists of these, or maps when weighted.
        column: its name, for the error.
        separator: what stands between the values of a string.
        limit: values to keep per row, 0 for all.
        weighted: strings read `id:weight`, maps hold ids as keys and weights as items.

    Raises:
        DataError: the column has another type.
    """
    array = plain(array)
    kind = array.type
    if pa.types.is_null(kind):
        rows = Jagged(np.empty(0, np.int64), np.zeros(len(array), np.int32))
    elif is_text(kind):
        spans, lengths = split(array, separator, limit)
        rows = Jagged(spans, _none_if_single(lengths))
    elif weighted and pa.types.is_map(kind):
        rows = _read_map(array, _refuser(column, kind, weighted)).first(limit)
    elif is_list(kind):
        rows = _read_list(array, _refuser(column, kind, weighted)).first(limit)
    else:
        rows = _read_flat(array, _refuser(column, kind, weighted))
    return _with_weights(rows) if weighted and rows.weights is None else rows


def _with_weights(rows: Jagged) -> Jagged:
    if isinstance(rows.elements, Spans):
        elements, weights = rows.elements.weighted()
        return Jagged(elements, rows.lengths, weights)
    return Jagged(rows.elements, rows.lengths, np.ones(len(rows.elements), np.float32))


def plain(array: pa.Array) -> pa.Array:
    """The array without dictionary encoding and the view layout."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is a string that lies in one buffer."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is a list of any kind."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _none_if_single(lengths: Int32Array | None) -> Int32Array | None:
    return None if lengths is None or (lengths == 1).all() else lengths


def _refuser(column: str, kind: pa.DataType, weighted: bool) -> Callable[[], DataError]:
    accepted = f"{_ACCEPTED}, or maps from id to weight" if weighted else _ACCEPTED
    return lambda: DataError(
        f'column "{column}" has type {kind}, which this feature cannot read; it accepts {accepted}. '
        "Cast the column where the data is written, or name another one in the feature's expression"
    )


def _read_flat(array: pa.Array, refuse: Callable[[], DataError]) -> Jagged:
    """A column without lists: one element in each row, none where it is null or ""."""
    array = plain(array)
    if pa.types.is_null(array.type):
        return Jagged(np.empty(0, np.int64), np.zeros(len(array), np.int32))
    if is_text(array.type):
        spans, lengths = split(array)
        return Jagged(spans, _none_if_single(lengths))
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise refuse()
    if not array.null_count:
        return Jagged(_numbers(array), None)
    lengths = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int32)
    return Jagged(_numbers(array.drop_null()), lengths)


def _numbers(array: pa.Array) -> Elements:
    """An array of numbers without nulls, not copied where it is int64, float32 or float64."""
    if pa.types.is_uint64(array.type) and len(array) and pc.max(array).as_py() >= 1 << 63:
        return split(array.cast(pa.large_string()))[0]  # as text, for only that holds it
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values if values.dtype.kind == "f" else values.astype(np.int64, copy=False)


def _read_list(array: pa.Array, refuse: Callable[[], DataError]) -> Jagged:
    """A column of lists; null and "" inside a list are left out."""
    lengths = list_lengths(array)
    inner = _read_flat(array.flatten(), refuse)
    if inner.lengths is not None:
        owners = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(owners, weights=inner.lengths, minlength=len(lengths)).astype(np.int32)
    return Jagged(inner.elements, _none_if_single(lengths))


def list_lengths(array: pa.Array) -> Int32Array:
    """Items per row `(B,)`, 0 where the list is null."""
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
    lengths, keys, values = _map_parts(array, _refuser(column, array.type, True))
    whole = (keys.counts() > 0) & (values.counts() > 0)
    rows = Jagged(np.empty(len(whole), np.int64), lengths).keep(whole)
    return keys.keep(whole[keys.owners()]).elements, values.keep(whole[values.owners()]).elements, rows.counts()


def _map_parts(array: pa.Array, refuse: Callable[[], DataError]) -> tuple[Int32Array, Jagged, Jagged]:
    """Pairs per row, and keys and values with one row for each pair."""
    offsets = pa.array(array.offsets.to_numpy())  # from_arrays takes a mask only with offsets that are no slice
    null = array.is_null()
    ids = pa.ListArray.from_arrays(offsets, array.keys, mask=null)
    items = pa.ListArray.from_arrays(offsets, array.items, mask=null)
    return list_lengths(ids), _read_flat(ids.flatten(), refuse), _read_flat(items.flatten(), refuse)


def _read_map(array: pa.Array, refuse: Callable[[], DataError]) -> Jagged:
    """A column of maps from id to weight; an id whose weight is null weighs 1."""
    lengths, keys, items = _map_parts(array, refuse)
    weights = np.ones(int(lengths.sum()), np.float32)
    weights[items.owners()] = _as_weights(items.elements)
    named = np.ones(len(weights), np.bool_) if keys.lengths is None else keys.lengths == 1
    rows = Jagged(weights, lengths).keep(named)  # the key "" is left out, and its weight with it
    return Jagged(keys.elements, _none_if_single(rows.lengths), weights[named])


def _as_weights(elements: Elements) -> Float32Array:
    if not isinstance(elements, Spans):
        return elements.astype(np.float32)
    values, good = elements.floats()
    return np.where(good, values, np.nan).astype(np.float32)
