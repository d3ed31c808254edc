"""Attributes of sampled items: conversion of their text to the types of the columns of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.text_schema import cast_text
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows

SEPARATOR = "\x1d"
"""Separator of the elements of a list and of the entries of a map in the text of an attribute."""


def convert_attributes(
    texts: Mapping[str, pa.Array], types: Mapping[str, pa.DataType], separator: str, bad: BadRows
) -> pa.RecordBatch:
    """Convert attributes to the types of columns; "" becomes null, and an empty map of a map.

    Args:
        texts: attributes as large_string arrays of N rows; those without a type are left out.
        types: of the columns; the result has their `readable_type`.
        separator: of elements and entries, beside 0x1d.
        bad: receives the rows that cannot be converted; they become null.

    Raises:
        DataError: a column has a type that cannot be read from text.
    """
    names = [name for name in texts if name in types]
    arrays = [_convert(name, texts[name], readable_type(types[name]), separator, bad) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names)


def readable_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column without dictionary and fixed length of lists."""
    if pa.types.is_dictionary(kind):
        return readable_type(kind.value_type)
    return pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind


def _convert(name: str, text: pa.Array, kind: pa.DataType, separator: str, bad: BadRows) -> pa.Array:
    kinds = pa.types
    if kinds.is_map(kind):
        return _map(name, text, kind, separator, bad)
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        return _list(name, text, kind, separator, bad)
    if kinds.is_null(kind):
        return pa.nulls(len(text))
    if not (kinds.is_primitive(kind) or kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_binary(kind)):
        raise DataError(
            f'column "{name}" is {kind}, which the attributes of a sampler cannot have: they are text in its '
            "table. Write the column as text, numbers, or lists or maps of them"
        )
    is_empty = pc.equal(text, "")
    if pc.any(is_empty).as_py():
        text = pc.if_else(is_empty, pa.scalar(None, text.type), text)
    return _scalars(name, text, kind, bad)


def _scalars(name: str, text: pa.Array, kind: pa.DataType, bad: BadRows) -> pa.Array:
    if kind in (pa.string(), pa.large_string(), pa.binary()):
        return text.cast(kind)
    with suppress(pa.ArrowInvalid):
        return text.cast(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    target = kind if is_number and kind.bit_width >= 32 and not pa.types.is_unsigned_integer(kind) else pa.float64()
    batch = pa.RecordBatch.from_arrays([text.cast(pa.string())], [name])
    return cast_text(batch, {name: target}, bad).column(0).cast(kind, safe=False)


def _split(text: pa.Array, separator: str) -> tuple[pa.Array, np.ndarray]:
    """Split by both separators: the parts of all rows, and their number per row, 0 for ""."""
    text = text if separator == SEPARATOR else pc.replace_substring(text, separator, SEPARATOR)
    lists = pc.split_pattern(text, SEPARATOR)
    counts = np.where(pc.equal(text, "").to_numpy(zero_copy_only=False), 0, lists.value_lengths().to_numpy())
    parts = lists.flatten()
    if not counts.all():
        parts = parts.filter(pa.array(np.repeat(counts > 0, np.maximum(counts, 1))))
    return parts, counts


def _element_bad(bad: BadRows, counts: np.ndarray, elements: BadRows) -> None:
    if elements:
        bad.add_elements(elements, np.repeat(np.arange(len(counts)), counts))


def _offsets(counts: np.ndarray, null: np.ndarray | None = None) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.array(offsets) if null is None else pa.array(offsets, mask=np.append(null, False))


def _list(name: str, text: pa.Array, kind: pa.DataType, separator: str, bad: BadRows) -> pa.Array:
    if pa.types.is_nested(kind.value_type):
        raise DataError(
            f'column "{name}" is {kind}, which the attributes of a sampler cannot have; write it as text, or as a list '
            "of text or numbers"
        )
    parts, counts = _split(text, separator)
    elements = BadRows(len(parts))
    values = _scalars(name, parts, kind.value_type, elements)
    _element_bad(bad, counts, elements)
    return pa.ListArray.from_arrays(_offsets(counts, counts == 0), values).cast(kind)


def _map(name: str, text: pa.Array, kind: pa.DataType, separator: str, bad: BadRows) -> pa.Array:
    parts, counts = _split(text, separator)
    elements = BadRows(len(parts))
    colon = pc.find_substring(parts, ":").to_numpy()
    lacking = np.flatnonzero(colon < 0)
    if len(lacking):
        elements.report_array(name, "not key:value", lacking, parts)
        parts = pc.if_else(
            pa.array(colon < 0),
            pc.binary_join_element_wise(parts, pa.scalar("", parts.type), pa.scalar(":", parts.type)),
            parts,
        )
    pairs = pc.split_pattern(parts, ":", max_splits=1).flatten()
    keys = pairs.take(pa.array(np.arange(0, len(pairs), 2)))
    values = pairs.take(pa.array(np.arange(1, len(pairs), 2)))
    is_empty = pc.equal(values, "")
    values = pc.if_else(is_empty, pa.scalar(None, values.type), values)
    key_array = _scalars(name, keys, kind.key_type, elements)
    item_array = _scalars(name, values, kind.item_type, elements)
    if key_array.null_count:
        key_array = key_array.fill_null(0 if pa.types.is_integer(kind.key_type) else "")
    _element_bad(bad, counts, elements)
    return pa.MapArray.from_arrays(_offsets(counts), key_array, item_array).cast(kind)
