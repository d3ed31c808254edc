"""Columns as Arrow arrays: encoded data, which FG_NONE and FG_BUCKETIZE read back, and inputs of other features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tzrec.config.schema import fields_of
from tzrec.config.sequences import FeatureMember
from tzrec.features.arrays import Int32Array
from tzrec.features.column import Column
from tzrec.features.column_types import offsets
from tzrec.protos import feature_pb2


def is_single(member: FeatureMember) -> bool:
    """Return true if a row (an element of a sequence) of a sparse feature never has more than one id."""
    if "value_dim" in fields_of(member.message):
        return bool(member.message.value_dim == 1)
    if isinstance(member.message, feature_pb2.TokenizeFeature):
        return member.sequence is not None and member.sequence.tokens
    return True


def to_arrow(column: Column, single: bool, values: pa.Array | None = None) -> pa.Array:
    """Convert a column to an Arrow array of B rows.

    The type depends on the feature alone. Dense: float32, or a list of fixed size (inside of a sequence any list).
    Sparse: `single` values, lists of values, or maps from values to weights. A sequence is a list of these. A row
    without values is null, or an empty list or map.

    Args:
        column: output of a feature.
        single: true if a row never has more than one value.
        values: values to write in place of the ids, `(N,)`.
    """
    if column.sequence_lengths is not None:
        inner = to_arrow(replace(column, sequence_lengths=None), single, values)
        if pa.types.is_fixed_size_list(inner.type):
            inner = inner.cast(pa.list_(inner.type.value_type))
        return pa.ListArray.from_arrays(offsets(column.sequence_lengths), inner)
    if not column.is_sparse:
        return _dense_to_arrow(column)
    values = pa.array(column.values) if values is None else values
    lengths = np.ones(len(values), np.int32) if column.lengths is None else column.lengths
    if column.weights is not None:
        return pa.MapArray.from_arrays(offsets(lengths), values, pa.array(column.weights))
    if single:
        return _nullable(values, lengths)
    return pa.ListArray.from_arrays(offsets(lengths), values)


def as_array(column: Column) -> pa.Array:
    """Convert a column to the Arrow input of another feature: numbers, or lists of numbers, nested for sequences."""
    if column.sequence_lengths is not None:
        inner = as_array(replace(column, sequence_lengths=None))
        return pa.ListArray.from_arrays(offsets(column.sequence_lengths), inner)
    if not column.is_sparse:
        return _dense_to_arrow(column)
    values = pa.array(column.values)
    return values if column.lengths is None else pa.ListArray.from_arrays(offsets(column.lengths), values)


def _dense_to_arrow(column: Column) -> pa.Array:
    numbers = pa.array(column.values.reshape(-1))
    return numbers if column.dim == 1 else pa.FixedSizeListArray.from_arrays(numbers, column.dim)


def _nullable(values: pa.Array, lengths: Int32Array) -> pa.Array:
    """Place at most one value in each row, null in the empty ones."""
    if len(values) == len(lengths):
        return values
    return values.take(pa.array(np.cumsum(lengths) - 1, mask=lengths == 0))
