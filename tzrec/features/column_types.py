"""Column types: how each Arrow type of raw data is read. Files and frames, features and labels follow this one table.

Labels and weights are numbers: there a value beyond int64 is a bad value, not text.

| type in the data                                        | read as                                                    |
| :------------------------------------------------------ | :--------------------------------------------------------- |
| bool, integers up to 32 bits                            | integers                                                   |
| uint64                                                  | exact integers; text in a batch with one beyond int64      |
| decimals without fraction digits                        | exact integers; text where they have more than 18 digits   |
| decimals with fraction digits                           | the nearest float64; from 2^53 on a bad value              |
| float16, float32, float64                               | floats                                                     |
| strings of any layout                                   | text                                                       |
| lists of any layout (list_view, fixed size, ...)        | lists of these types                                       |
| dictionaries, run-end encoding; json, bool8, tensors    | the values that they stand for                             |
| maps                                                    | as they are; for lookups and weighted ids                  |
| dates, times, timestamps, durations, binary, struct,    | refused by every feature and label; columns that predict   |
| other extension types, anything else                    | copies keep them                                           |
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.bad_rows import BadRows

NOT_EXACT = "beyond 2^53, where floats merge neighbors; write it as a decimal without fraction digits, or as text"
_EXTENSIONS = ("arrow.json", "arrow.bool8", "arrow.fixed_shape_tensor")
"""Extension types whose storage is the value itself; that of others, as the number of a period, is not."""
_INT64_DIGITS = 18
"""Any decimal number of this many digits fits int64."""
_NUMBERS = {
    pa.bool_(): pa.int32(),
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.float16(): pa.float32(),
}
_FIXES = (
    (pa.types.is_temporal, "write it as an integer, e.g. seconds or days since 1970, or as text"),
    (pa.types.is_struct, "write each of its fields as a column of its own"),
    (lambda kind: "binary" in str(kind), "write it as a string of UTF-8 text"),
)


@lru_cache(maxsize=4096)
def decoded_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, without the way in which they are laid out."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return decoded_type(kind.value_type)
    if _is_known_extension(kind):
        return decoded_type(kind.storage_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if is_any_list(kind):
        return pa.list_(decoded_type(kind.value_type))
    return pa.map_(decoded_type(kind.key_type), decoded_type(kind.item_type)) if types.is_map(kind) else kind


def _is_known_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name in _EXTENSIONS


def is_any_list(kind: pa.DataType) -> bool:
    """Return true for lists of every layout."""
    return bool(pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)) or (
        _is_list_view(kind)
    )


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def decode(array: pa.Array) -> pa.Array:
    """Convert a column to its `decoded_type`; no value changes."""
    kind = array.type
    if kind == decoded_type(kind):
        return array
    types = pa.types
    if _is_known_extension(kind):
        return decode(array.storage)
    if types.is_run_end_encoded(kind):
        return decode(pc.run_end_decode(array))
    if types.is_dictionary(kind):
        values = decode(array.dictionary)  # Arrow decodes no dictionary of string views
        return pa.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()
    if is_any_list(kind):
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        return pa.ListArray.from_arrays(offsets(lengths), decode(array.flatten()), mask=_null_mask(array))
    if types.is_map(kind):
        starts = array.offsets.to_numpy()
        first, last = int(starts[0]), int(starts[-1])
        keys, items = (decode(part.slice(first, last - first)) for part in (array.keys, array.items))
        decoded = pa.MapArray.from_arrays(pa.array(starts - first), keys, items)
        return pc.if_else(_null_mask(array), None, decoded) if array.null_count else decoded
    return array.cast(decoded_type(kind))


def offsets(lengths: Any) -> pa.Array:
    """Return the offsets of lists with these lengths."""
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _null_mask(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


@lru_cache(maxsize=4096)
def _is_read_directly(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _is_read_directly(kind.value_type)
    return not pa.types.is_decimal(kind) and kind not in _NUMBERS and kind == decoded_type(kind)


def readable(array: pa.Array, column: str, bad: BadRows) -> pa.Array:
    """Convert a column to a type that features and labels read, see the table above; others are only decoded.

    Args:
        array: B rows.
        column: its name.
        bad: collects the rows with a number that floats do not hold; they become null.
    """
    if _is_read_directly(array.type):
        return array
    array = decode(array)
    leaf, depth = _leaf(array.type)
    if leaf in _NUMBERS:
        return array.cast(_nested(_NUMBERS[leaf], depth))
    if not pa.types.is_decimal(leaf):
        return array
    if leaf.scale > 0:
        return _to_floats(array, column, bad, depth)
    return _to_integers(array, leaf, depth)


def readable_numbers(array: pa.Array, column: str, bad: BadRows) -> pa.Array:
    """Convert a column of labels or weights like `readable`, except that integers beyond int64 become null."""
    array = decode(array)
    leaf, depth = _leaf(array.type)
    is_wide = pa.types.is_decimal(leaf) and leaf.scale <= 0 and leaf.precision - leaf.scale > _INT64_DIGITS
    if depth or not (is_wide or pa.types.is_uint64(leaf)):
        return readable(array, column, bad)
    digits = array.cast(pa.decimal256(76, 0)) if is_wide else array
    least, most = (pa.scalar(bound, digits.type) for bound in (-(1 << 63) if is_wide else 0, (1 << 63) - 1))
    mask = pc.and_(pc.greater_equal(digits, least), pc.less_equal(digits, most)).fill_null(True)
    rows = np.flatnonzero(~mask.to_numpy(zero_copy_only=False))
    bad.report_array(column, "beyond 64-bit integers", rows, array)
    return pc.if_else(mask, digits, None).cast(pa.int64())


def _leaf(kind: pa.DataType) -> tuple[pa.DataType, int]:
    """Return the type inside of lists, and the number of lists around it."""
    if not pa.types.is_list(kind):
        return kind, 0
    leaf, depth = _leaf(kind.value_type)
    return leaf, depth + 1


def _nested(kind: pa.DataType, depth: int) -> pa.DataType:
    for _ in range(depth):
        kind = pa.list_(kind)
    return kind


def _to_integers(array: pa.Array, leaf: pa.DataType, depth: int) -> pa.Array:
    """Convert decimals without fraction digits to int64, or to text where they have too many digits for it."""
    digits = leaf.precision - leaf.scale  # a negative scale stands for zeros at the end
    wide = pa.decimal256(digits, 0) if digits > 38 else pa.decimal128(digits, 0)
    return array.cast(_nested(wide, depth)).cast(_nested(pa.int64() if digits <= _INT64_DIGITS else pa.string(), depth))


def _to_floats(array: pa.Array, column: str, bad: BadRows, depth: int) -> pa.Array:
    floats = array.cast(_nested(pa.float64(), depth))
    inner = floats
    for _ in range(depth):
        inner = inner.flatten()
    if not len(inner) or (pc.max(pc.abs(inner)).as_py() or 0) < 1 << 53:
        return floats
    rows = np.array([row for row, value in enumerate(floats.to_pylist()) if _largest(value) >= 1 << 53], np.int64)
    bad.report_array(column, NOT_EXACT, rows, array)
    is_kept = np.ones(len(floats), np.bool_)
    is_kept[rows] = False
    return floats.take(pa.array(np.arange(len(floats)), mask=~is_kept))


def _largest(value: Any) -> float:
    """Return the largest absolute value of a number, of a list, or of nested lists."""
    if isinstance(value, list):
        return max(map(_largest, value), default=0.0)
    return abs(value or 0.0)


def fix(kind: pa.DataType) -> str:
    """Return the change that makes a column of a refused type readable."""
    leaf = _leaf(decoded_type(kind))[0]
    return next((text for is_kind, text in _FIXES if is_kind(leaf)), "cast it where the data is written")


def common_type(first: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of two decoded types of one column; None if there is none.

    Where one is an integer and the other a float it is the first: the values decide if the other can be cast to it.
    """
    types = pa.types
    if first.equals(other) or types.is_null(other):
        return first
    if types.is_null(first):
        return other
    if types.is_list(first) and types.is_list(other):
        inner = common_type(first.value_type, other.value_type)
        return pa.list_(inner) if inner else None
    if types.is_map(first) and types.is_map(other):
        key, item = common_type(first.key_type, other.key_type), common_type(first.item_type, other.item_type)
        return pa.map_(key, item) if key and item else None
    if types.is_decimal(first) or types.is_decimal(other):
        return _common_decimal(first, other)
    is_whole = [types.is_integer(kind) or types.is_boolean(kind) for kind in (first, other)]
    if all(is_whole):
        return _common_integer(first, other)
    if types.is_floating(first) and types.is_floating(other):
        return max(first, other, key=lambda kind: kind.bit_width)
    is_number = [whole or types.is_floating(kind) for whole, kind in zip(is_whole, (first, other), strict=True)]
    if all(is_number):
        return first
    if types.is_date(first) and types.is_date(other):
        return pa.date64()
    return _finer_timestamp(first, other)


def _common_integer(first: pa.DataType, other: pa.DataType) -> pa.DataType:
    kinds = [pa.uint8() if pa.types.is_boolean(kind) else kind for kind in (first, other)]
    signed = [pa.types.is_signed_integer(kind) for kind in kinds]
    if signed[0] == signed[1]:
        return max(kinds, key=lambda kind: kind.bit_width)
    unsigned_bits = kinds[signed.index(False)].bit_width
    if unsigned_bits == 64:
        return pa.decimal128(20, 0)
    bits = max(2 * unsigned_bits, kinds[signed.index(True)].bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[bits]


def _common_decimal(first: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type of decimals and integers, or of floats and decimals that are read as floats."""
    if any(pa.types.is_floating(kind) for kind in (first, other)):
        return pa.float64() if max(getattr(first, "scale", 0), getattr(other, "scale", 0)) > 0 else None
    kinds = [pa.decimal128(20, 0) if pa.types.is_integer(kind) else kind for kind in (first, other)]
    if not all(pa.types.is_decimal(kind) for kind in kinds):
        return None
    scale = max(kind.scale for kind in kinds)
    digits = max(kind.precision - kind.scale for kind in kinds) + scale
    if digits > 76:
        return None
    return pa.decimal256(digits, scale) if digits > 38 else pa.decimal128(digits, scale)


def _finer_timestamp(first: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if not (pa.types.is_timestamp(first) and pa.types.is_timestamp(other) and first.tz == other.tz):
        return None
    return max(first, other, key=lambda kind: ("s", "ms", "us", "ns").index(kind.unit))
