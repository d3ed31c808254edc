"""SparseEncoder: the way from an Arrow column to ids that all sparse features share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from tzrec.features.base import BadRows, Table
from tzrec.features.bucketize import Bucketizer, Identity, InvalidValues, number
from tzrec.features.column import Column
from tzrec.features.jagged import Jagged, read
from tzrec.protos import data_pb2

BAD_WEIGHT = "weight is not a finite number"


@dataclass(frozen=True)
class Default:
    """The ids a row gets that has none; no ids leave it empty, which pools to a zero vector."""

    ids: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    weights: Float32Array = field(default_factory=lambda: np.empty(0, np.float32))

    def repeat(self, times: int) -> Default:
        return Default(np.repeat(self.ids, times), np.repeat(self.weights, times))


@dataclass(frozen=True)
class SparseEncoder:
    """Reads one column into ids.

    A value that is bad (see Bucketizer) counts as missing and is reported. A row without any id takes the default.

    Attributes:
        column: name of the input.
        bucketizer: from values to ids.
        separator: what stands between the values of a string.
        default: ids of a row that has none.
        limit: ids to keep per row, 0 for all.
        exact: ids every row must have that has any, 0 for any number; a row with another number is bad.
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
        """Ids of B rows."""
        return self.finish(read(array, self.column, self.separator, self.limit, self.weighted), array, bad)

    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        """Ids of B rows of values; `array` shows what stood in a bad row."""
        rows = rows.first(self.limit)
        ids, faults = self.bucketizer(rows.elements)
        rows = Jagged(ids, rows.lengths, rows.weights)
        if rows.weights is not None and not np.isfinite(rows.weights).all():
            faults = [*faults, InvalidValues(BAD_WEIGHT, ~np.isfinite(rows.weights))]
        if faults:
            rows = self._without(rows, faults, array, bad)
        if self.exact > 1 or (self.exact and rows.lengths is not None):
            rows = self._exact(rows, array, bad)
        return self._filled(rows)

    def _without(self, rows: Jagged, faults: Sequence[InvalidValues], array: pa.Array, bad: BadRows) -> Jagged:
        owners = rows.owners()
        good = np.ones(len(owners), np.bool_)
        for fault in faults:
            report(bad, self.column, fault.reason, np.unique(owners[fault.mask]), array)
            good &= ~fault.mask
        if self.exact:  # positions mean something: one bad value spoils its row
            spoiled = np.zeros(len(array), np.bool_)
            spoiled[owners[~good]] = True
            good = ~spoiled[owners]
        return rows.keep(good)

    def _exact(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Jagged:
        lengths = np.ones(len(rows.elements), np.int32) if rows.lengths is None else rows.lengths
        wrong = (lengths != 0) & (lengths != self.exact)
        report(bad, self.column, expected(self.exact), np.flatnonzero(wrong), array)
        return rows.keep(~wrong[rows.owners()]) if wrong.any() else rows

    def _filled(self, rows: Jagged) -> Column:
        ids, lengths, weights = rows.elements, rows.lengths, rows.weights
        assert isinstance(ids, np.ndarray)
        if lengths is not None and len(self.default.ids) and not lengths.all():
            empty = lengths == 0
            lengths = np.where(empty, np.int32(len(self.default.ids)), lengths)
            ids = _insert(ids, self.default.ids, empty, lengths)
            if weights is not None:
                weights = _insert(weights, self.default.weights, empty, lengths)
        if lengths is not None and (lengths == 1).all():
            lengths = None
        return Column(np.ascontiguousarray(ids), lengths, weights)


def _insert(values: npt.NDArray, default: npt.NDArray, empty: BoolArray, lengths: Int32Array) -> npt.NDArray:
    """Values with the default put into the empty rows; `lengths` are those afterwards."""
    filled = np.repeat(empty, lengths)
    out = np.empty(len(filled), values.dtype)
    out[~filled] = values
    out[filled] = np.tile(default, int(empty.sum()))
    return out


def expected(count: int) -> str:
    """The reason for a row with another number of values."""
    return f"expected {count} value{'s' if count != 1 else ''}"


def report(bad: BadRows, column: str, reason: str, rows: Int64Array, array: pa.Array) -> None:
    """Report rows of a column together with what stood there."""
    if not len(rows):
        return
    values = array.take(pa.array(rows))
    try:
        shown = values.to_pylist()
    except UnicodeDecodeError:
        shown = ["text that is not UTF-8"] * len(rows)
    bad.report(column, reason, rows, shown)


def parse_default(
    text: str, separator: str, bucketizer: Bucketizer, field_name: str, limit: int = 0, weighted: bool = False
) -> Default:
    """Read a default from a config; "" means no id.

    Raises:
        ConfigError: a part of it has no bucket.
    """
    words = [word for word in (text.split(separator) if separator else [text]) if word]
    ids, weights = [], []
    for word in words[: limit or None]:
        name, colon, weight = word.rpartition(":") if weighted else (word, "", "")
        try:
            ids.append(bucketizer.one(name if colon else word))
            weights.append(number(weight) if colon else 1.0)
        except ValueError as error:
            raise ConfigError([Problem(field_name, f"{word!r} is {error}")]) from None
    return Default(np.array(ids, np.int64), np.array(weights, np.float32))


def sparse_encoder(column: str, bucketizer: Bucketizer, config: Any, data: data_pb2.DataConfig) -> SparseEncoder:
    """The encoder of a feature whose values, `value_dim` of them per row or any number, are ids one by one."""
    if data.fg_mode == data_pb2.FG_NONE:
        return encoded_ids(column, bucketizer.rows, config, data)
    limit = config.value_dim
    default = parse_default(config.default_value, config.separator, bucketizer, "default_value", limit)
    return SparseEncoder(column, bucketizer, config.separator, default, limit=limit)


def numbers_encoder(
    column: str, config: Any, data: data_pb2.DataConfig, bucketizer: Bucketizer, dim: int = 1, separator: str = ""
) -> SparseEncoder:
    """The encoder of a feature with one id for each of `dim` numbers, 0 for any number of them.

    Raises:
        ConfigError: the default has another number of values, or one of them has no bucket.
    """
    if data.fg_mode == data_pb2.FG_NONE:
        return encoded_ids(column, bucketizer.rows, config, data)
    separator = separator or config.separator
    text = getattr(config, "default_value", "0")
    default = parse_default(text, separator, bucketizer, "default_value")
    if dim and len(default.ids) == 1:
        default = default.repeat(dim)
    if len(default.ids) not in (0, dim or len(default.ids)):
        message = f"{text!r} has {len(default.ids)} values; value_dim is {dim}"
        raise ConfigError([Problem("default_value", message)])
    return SparseEncoder(column, bucketizer, separator, default, exact=dim)


def encoded_ids(
    column: str, rows: int, config: Any, data: data_pb2.DataConfig, weighted: bool = False
) -> SparseEncoder:
    """The encoder of a sparse feature whose data holds row numbers already (FG_NONE)."""
    bucketizer = Identity(rows)
    separator = data.fg_encoded_multival_sep
    default = parse_default(
        config.fg_encoded_default_value, separator, bucketizer, "fg_encoded_default_value", weighted=weighted
    )
    return SparseEncoder(column, bucketizer, separator, default, weighted=weighted)


def table_of(config: Any, rows: int) -> Table:
    """The embedding table a feature message asks for; features with one embedding_name share it."""
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
