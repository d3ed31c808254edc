"""Encoded data: Columns as Arrow columns, from which FG_NONE reads the same Columns again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.schema import fields_of
from tzrec.config.sequences import Member
from tzrec.features.base import Feature
from tzrec.features.column import Column
from tzrec.protos import feature_pb2


def encoded_type(feature: Feature, member: Member) -> pa.DataType:
    """The Arrow type of a feature's ids or numbers; the same for all of its rows, whatever they hold.

    Args:
        feature: the feature.
        member: its entry in the config, which says whether a row (a step of a sequence) can have more than one id.
    """
    kind: pa.DataType
    if not feature.is_sparse:
        width = -1 if feature.is_sequence else feature.dim  # lists of one width inside of a list are plain lists
        kind = pa.float32() if feature.dim == 1 else pa.list_(pa.float32(), width)
    elif feature.is_weighted:
        kind = pa.map_(pa.int64(), pa.float32())
    else:
        kind = pa.int64() if is_single(member) else pa.list_(pa.int64())
    return pa.list_(kind) if feature.is_sequence else kind


def is_single(member: Member) -> bool:
    """Whether a row (a step of a sequence) never has more than one id."""
    if "value_dim" in fields_of(member.message):
        return bool(member.message.value_dim == 1)
    if isinstance(member.message, feature_pb2.TokenizeFeature):
        return member.steps is not None and member.steps.tokens
    return True


def to_arrow(column: Column, kind: pa.DataType) -> pa.Array:
    """A column as an Arrow array of B rows; a row without ids is null, or an empty list or map.

    Args:
        column: what a feature yielded.
        kind: the feature's `encoded_type`.
    """
    if column.steps is not None:
        return pa.ListArray.from_arrays(_offsets(column.steps), to_arrow(replace(column, steps=None), kind.value_type))
    if not column.is_sparse:
        return _dense(column, kind)
    values = pa.array(column.values)
    if pa.types.is_int64(kind):
        return values if column.lengths is None else _nullable(column.values, column.lengths)
    lengths = np.ones(len(column.values), np.int32) if column.lengths is None else column.lengths
    if pa.types.is_map(kind):
        return pa.MapArray.from_arrays(_offsets(lengths), values, pa.array(column.weights))
    return pa.ListArray.from_arrays(_offsets(lengths), values)


def _dense(column: Column, kind: pa.DataType) -> pa.Array:
    flat = pa.array(column.values.reshape(-1))
    if column.dim == 1:
        return flat
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(flat, column.dim)
    return pa.ListArray.from_arrays(_offsets(np.full(len(column.values), column.dim)), flat)


def _nullable(values: npt.NDArray[Any], lengths: npt.NDArray[np.int32]) -> pa.Array:
    """At most one id in each row."""
    ids = np.zeros(len(lengths), np.int64)
    ids[lengths == 1] = values
    return pa.array(ids, mask=lengths == 0)


def _offsets(lengths: npt.NDArray[Any]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
