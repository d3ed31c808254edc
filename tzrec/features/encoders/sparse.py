"""SparseEncoder: from an Arrow column to ids, shared by all sparse features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.rules.bucketizer import split_values
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from tzrec.features.bad_rows import BadRows, InvalidValues
from tzrec.features.base import Encoder, Table
from tzrec.features.bucketize import Bucketizer, Identity
from tzrec.features.column import Column
from tzrec.features.jagged import Jagged, read_jagged
from tzrec.features.numbers import parse_number
from tzrec.protos import data_pb2

BAD_WEIGHT = "weight is not a finite number"


@dataclass(frozen=True)
class Default:
    """Ids of a row without values; without any id the row stays empty, which pools to a zero vector."""

    ids: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    weights: Float32Array = field(default_factory=lambda: np.empty(0, np.float32))

    def repeat(self, times: int) -> Default:
        return Default(np.repeat(self.ids, times), np.repeat(self.weights, times))


@dataclass(frozen=True)
class SparseEncoder(Encoder):
    """Encodes one column as ids.

    An invalid value (see Bucketizer) counts as missing and is reported. A row without any id takes the default.

    Attributes:
        column: name of the input.
        bucketizer: from values to ids.
        separator: separates the values of a string.
        default: ids of a row without values.
        limit: number of ids to keep per row, 0 for all.
        exact: required number of ids per row, 0 for any number; a row with another number, except for 0, is bad.
        weighted: values carry weights.
    """

    column: str
    bucketizer: Bucketizer
    separator: str
    default: Default = field(default_factory=Default)
    limit: int = 0
    exact: int = 0
    weighted: bool = False

    def encode(self, array: pa.Array, bad: BadRows) -> Column:
        return self.finish(read_jagged(array, self.column, self.separator, self.limit, self.weighted), array, bad)

    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        rows = rows.truncate(self.limit)
        ids, invalid = self.bucketizer(rows.elements)
        rows = Jagged(ids, rows.lengths, rows.weights)
        if rows.weights is not None and not np.isfinite(rows.weights).all():
            invalid = [*invalid, InvalidValues(BAD_WEIGHT, ~np.isfinite(rows.weights))]
        if invalid:
            rows = self._drop_invalid(rows, invalid, array, bad)
        if self.exact > 1 or (self.exact and rows.lengths is not None):
            rows = self._drop_other_lengths(rows, array, bad)
        return self._fill_empty(rows)

    def with_bucketizer(self, wrap: Callable[[Bucketizer], Bucketizer]) -> SparseEncoder:
        return replace(self, bucketizer=wrap(self.bucketizer), default=Default())

    def _drop_invalid(self, rows: Jagged, invalid: Sequence[InvalidValues], array: pa.Array, bad: BadRows) -> Jagged:
        row_indices = rows.row_indices()
        valid = bad.report_invalid(self.column, invalid, row_indices, array)
        if self.exact:  # positions have a meaning: one invalid value invalidates its row
            is_bad_row = np.zeros(len(array), np.bool_)
            is_bad_row[row_indices[~valid]] = True
            valid = ~is_bad_row[row_indices]
        return rows.keep(valid)

    def _drop_other_lengths(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Jagged:
        lengths = rows.row_lengths()
        is_bad_row = (lengths != 0) & (lengths != self.exact)
        bad.report_array(self.column, expected_values(self.exact), np.flatnonzero(is_bad_row), array)
        return rows.keep(~is_bad_row[rows.row_indices()]) if is_bad_row.any() else rows

    def _fill_empty(self, rows: Jagged) -> Column:
        ids, lengths, weights = rows.elements, rows.lengths, rows.weights
        assert isinstance(ids, np.ndarray)
        if lengths is not None and len(self.default.ids) and not lengths.all():
            is_empty = lengths == 0
            lengths = np.where(is_empty, np.int32(len(self.default.ids)), lengths)
            ids = _insert(ids, self.default.ids, is_empty, lengths)
            if weights is not None:
                weights = _insert(weights, self.default.weights, is_empty, lengths)
        if lengths is not None and (lengths == 1).all():
            lengths = None
        return Column(np.ascontiguousarray(ids), lengths, weights)


def _insert(values: npt.NDArray, default: npt.NDArray, is_empty: BoolArray, lengths: Int32Array) -> npt.NDArray:
    """Insert the default into the empty rows; `lengths` are those afterwards."""
    is_default = np.repeat(is_empty, lengths)
    out = np.empty(len(is_default), values.dtype)
    out[~is_default] = values
    out[is_default] = np.tile(default, int(is_empty.sum()))
    return out


def expected_values(count: int) -> str:
    """Return the reason for a row with another number of values."""
    return f"expected {count} value{'s' if count != 1 else ''}"


def parse_default(
    text: str, separator: str, bucketizer: Bucketizer, field_name: str, limit: int = 0, weighted: bool = False
) -> Default:
    """Read a default from a config; "" means no id.

    Raises:
        ConfigError: a part of it has no id.
    """
    ids, weights = [], []
    for word in split_values(text, separator)[: limit or None]:
        name, colon, weight = word.rpartition(":") if weighted else (word, "", "")
        try:
            ids.append(bucketizer.one(name if colon else word))
            weights.append(parse_number(weight) if colon else 1.0)
        except ValueError as error:
            raise ConfigError([Problem(field_name, f"{word!r} is {error}")]) from None
    return Default(np.array(ids, np.int64), np.array(weights, np.float32))


def make_sparse_encoder(column: str, bucketizer: Bucketizer, config: Any, data: data_pb2.DataConfig) -> SparseEncoder:
    """Build the encoder of a feature with one id per value, `value_dim` of them per row or any number."""
    if data.fg_mode == data_pb2.FG_NONE:
        return make_encoded_ids_encoder(column, bucketizer.rows, config, data)
    limit = config.value_dim
    default = parse_default(config.default_value, config.separator, bucketizer, "default_value", limit)
    return SparseEncoder(column, bucketizer, config.separator, default, limit=limit)


def make_number_ids_encoder(
    column: str, config: Any, data: data_pb2.DataConfig, bucketizer: Bucketizer, dim: int = 1, separator: str = ""
) -> SparseEncoder:
    """Build the encoder of a feature with one id for each of `dim` numbers, 0 for any number of them.

    Raises:
        ConfigError: the default has another number of values, or one of them has no id.
    """
    if data.fg_mode == data_pb2.FG_NONE:
        return make_encoded_ids_encoder(column, bucketizer.rows, config, data)
    separator = separator or config.separator
    text = getattr(config, "default_value", "0")
    default = parse_default(text, separator, bucketizer, "default_value")
    if dim and len(default.ids) == 1:
        default = default.repeat(dim)
    if len(default.ids) not in (0, dim or len(default.ids)):
        message = f"{text!r} has {len(default.ids)} values; value_dim is {dim}"
        raise ConfigError([Problem("default_value", message)])
    return SparseEncoder(column, bucketizer, separator, default, exact=dim)


def make_encoded_ids_encoder(
    column: str, rows: int, config: Any, data: data_pb2.DataConfig, weighted: bool = False
) -> SparseEncoder:
    """Build the encoder of a sparse feature whose data holds row numbers already (FG_NONE)."""
    bucketizer = Identity(rows)
    separator = data.fg_encoded_multival_sep
    default = parse_default(
        config.fg_encoded_default_value, separator, bucketizer, "fg_encoded_default_value", weighted=weighted
    )
    return SparseEncoder(column, bucketizer, separator, default, weighted=weighted)


def make_table(config: Any, rows: int) -> Table:
    """Build the table request of a feature message; features with one embedding_name share the table."""
    constraints = config.embedding_constraints
    return Table(
        name=config.embedding_name or f"{config.feature_name}_emb",
        rows=rows,
        dim=config.embedding_dim,
        pooling=config.pooling,
        data_type=config.data_type,
        init_fn=config.init_fn,
        trainable=config.trainable,
        sharding_types=tuple(constraints.sharding_types),
        compute_kernels=tuple(constraints.compute_kernels),
    )
