"""DenseEncoder: the way from an Arrow column to float32 values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.kwargs import kwargs
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray, Float32Array, FloatArray, Int64Array
from tzrec.features.base import BadRows, DenseEmbedding
from tzrec.features.bucketize import InvalidValues, number, scaled
from tzrec.features.column import Column
from tzrec.features.dag import is_encoded
from tzrec.features.encoders.sparse import expected, report
from tzrec.features.jagged import Jagged, read
from tzrec.features.normalizer import Normalizer
from tzrec.protos import data_pb2

NO_DEFAULT = "missing, and there is no default value"


@dataclass(frozen=True)
class DenseEncoder:
    """Reads one column into `dim` numbers per row.

    A row that is bad is reported and takes the default as a whole. Missing rows take the default silently, unless
    there is none: they are bad then, and become zero.

    Attributes:
        column: name of the input.
        separator: what stands between the values of a string.
        dim: numbers in every row.
        default: float32 `(dim,)`, put in as it is: no normalizer touches it.
        normalize: maps values `(N,)` to values `(N,)`.
    """

    column: str
    separator: str
    dim: int
    default: Float32Array | None
    normalize: Callable[[FloatArray], FloatArray] | None = None

    def encode(self, array: pa.Array, bad: BadRows) -> Column:
        """Values of B rows, `(B, dim)`."""
        return self.finish(read(array, self.column, self.separator), array, bad)

    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        """Values of B rows of numbers; `array` shows what stood in a bad row."""
        numbers, faults = scaled(rows.elements, self.normalize)
        if rows.lengths is None and self.dim == 1 and not faults:
            return Column(np.ascontiguousarray(numbers).reshape(-1, 1), dim=1)
        given = self._given(rows, faults, array, bad)
        return self._filled(numbers, given, rows.owners())

    def _given(self, rows: Jagged, faults: Sequence[InvalidValues], array: pa.Array, bad: BadRows) -> BoolArray:
        """Rows with `dim` good values, `(B,)`; all others that are not silently missing are reported."""
        lengths = np.ones(len(rows.elements), np.int32) if rows.lengths is None else rows.lengths
        owners = rows.owners()
        spoiled = np.zeros(len(lengths), np.bool_)
        for fault in faults:
            report(bad, self.column, fault.reason, np.unique(owners[fault.mask]), array)
            spoiled[owners[fault.mask]] = True
        missing = lengths == 0
        wrong = (lengths != self.dim) & ~missing & ~spoiled
        report(bad, self.column, expected(self.dim), np.flatnonzero(wrong), array)
        if self.default is None:
            report(bad, self.column, NO_DEFAULT, np.flatnonzero(missing), array)
        return ~(missing | wrong | spoiled)

    def _filled(self, numbers: Float32Array, given: BoolArray, owners: Int64Array) -> Column:
        matrix = np.zeros((len(given), self.dim), np.float32)  # (B, dim)
        if self.default is not None:
            matrix[:] = self.default
        matrix[given] = numbers[given[owners]].reshape(-1, self.dim)
        return Column(matrix, dim=self.dim)


def dense_encoder(
    column: str,
    config: Any,
    data: data_pb2.DataConfig,
    dim: int,
    separator: str,
    default: str,
    normalize: Normalizer | None,
) -> DenseEncoder:
    """The encoder of a dense feature: its default and normalizer only count where the data is not encoded.

    Raises:
        ConfigError: the default is not `dim` numbers.
    """
    if data.fg_mode == data_pb2.FG_NONE:
        separator, default = data.fg_encoded_multival_sep, config.fg_encoded_default_value
        values = parse_dense_default(default, separator, dim, "fg_encoded_default_value")
        return DenseEncoder(column, separator, dim, values)
    values = parse_dense_default(default, separator, dim, "default_value")
    return DenseEncoder(column, separator, dim, values, None if is_encoded(data) else normalize)


def dense_embedding(config: Any, value_dim: int) -> DenseEmbedding | None:
    """How a message wants its `value_dim` numbers embedded, 0 of them where its values are ids; None for not at all.

    Raises:
        ConfigError: its values are ids or too many, or the width of the embedding is not given.
    """
    kind = config.WhichOneof("dense_emb")
    if kind is None:
        return None
    if value_dim == 0:
        raise ConfigError([Problem(kind, "is for numbers, and here values become ids; choose one")])
    if kind == "autodis" and value_dim > 1:
        raise ConfigError([Problem(kind, f"embeds one number; value_dim is {value_dim}: use mlp")])
    if config.embedding_dim == 0:
        raise ConfigError([Problem("embedding_dim", f"must be above 0: the width of the {kind} embedding")])
    return DenseEmbedding(kind, value_dim, config.embedding_dim, **kwargs(getattr(config, kind)))


def parse_dense_default(text: str, separator: str, dim: int, field_name: str) -> Float32Array | None:
    """Read a dense default from a config: `dim` parts, or one part for all; "" is none.

    Raises:
        ConfigError: a part is no number, or there is another number of them.
    """
    if not text:
        return None
    words = text.split(separator) if separator else [text]
    if len(words) not in (1, dim):
        raise ConfigError([Problem(field_name, f"{text!r} has {len(words)} values; value_dim is {dim}")])
    try:
        return np.broadcast_to(np.array([number(word) for word in words], np.float32), (dim,))
    except ValueError as error:
        raise ConfigError([Problem(field_name, f"{text!r} is {error}")]) from None
