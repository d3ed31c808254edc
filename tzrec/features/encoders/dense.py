"""DenseEncoder: from an Arrow column to float32 values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.kwargs import kwargs
from tzrec.config.rules.dense_embedding import MIN_EDGES
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray, Float32Array, FloatArray, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import DenseEmbedding, Encoder
from tzrec.features.column import Column
from tzrec.features.encoders.sparse import expected_values
from tzrec.features.inputs import is_encoded
from tzrec.features.jagged import Jagged, read_jagged
from tzrec.features.normalizer import Normalizer
from tzrec.features.numbers import parse_number, to_float32
from tzrec.protos import data_pb2

NO_DEFAULT = "missing, and there is no default value"


@dataclass(frozen=True)
class DenseEncoder(Encoder):
    """Encodes one column as `dim` numbers per row.

    A bad row is reported and takes the whole default. A missing row takes the default without a report; if there is no
    default, it is bad and becomes zero.

    Attributes:
        column: name of the input.
        separator: separates the values of a string.
        dim: numbers in every row.
        default: float32 `(dim,)`, inserted without normalization.
        normalize: maps values `(N,)` to values `(N,)`.
    """

    column: str
    separator: str
    dim: int
    default: Float32Array | None
    normalize: Callable[[FloatArray], FloatArray] | None = None

    def encode(self, array: pa.Array, bad: BadRows) -> Column:
        return self.finish(read_jagged(array, self.column, self.separator), array, bad)

    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        numbers, invalid = to_float32(rows.elements, self.normalize)
        if rows.lengths is None and self.dim == 1 and not invalid:
            return Column(np.ascontiguousarray(numbers).reshape(-1, 1), dim=1)
        row_indices = rows.row_indices()
        valid = bad.report_invalid(self.column, invalid, row_indices, array)
        is_usable = self._usable_rows(rows, row_indices[~valid], array, bad)
        return self._to_column(numbers, is_usable, row_indices)

    def _usable_rows(self, rows: Jagged, invalid_rows: Int64Array, array: pa.Array, bad: BadRows) -> BoolArray:
        """Return a mask of rows with `dim` valid values, `(B,)`; report those with another number of values."""
        lengths = rows.row_lengths()
        is_invalid = np.zeros(len(lengths), np.bool_)
        is_invalid[invalid_rows] = True
        is_missing = lengths == 0
        has_other_length = (lengths != self.dim) & ~is_missing & ~is_invalid
        bad.report_array(self.column, expected_values(self.dim), np.flatnonzero(has_other_length), array)
        if self.default is None:
            bad.report_array(self.column, NO_DEFAULT, np.flatnonzero(is_missing), array)
        return ~(is_missing | has_other_length | is_invalid)

    def _to_column(self, numbers: Float32Array, is_usable: BoolArray, row_indices: Int64Array) -> Column:
        matrix = np.zeros((len(is_usable), self.dim), np.float32)  # (B, dim)
        if self.default is not None:
            matrix[:] = self.default
        matrix[is_usable] = numbers[is_usable[row_indices]].reshape(-1, self.dim)
        return Column(matrix, dim=self.dim)


def make_dense_encoder(
    column: str,
    config: Any,
    data: data_pb2.DataConfig,
    dim: int,
    separator: str,
    default: str,
    normalize: Normalizer | None,
) -> DenseEncoder:
    """Build the encoder of a dense feature; `separator`, `default` and `normalize` apply if data is not encoded.

    Raises:
        ConfigError: the default is not `dim` numbers.
    """
    if data.fg_mode == data_pb2.FG_NONE:
        separator, default = data.fg_encoded_multival_sep, config.fg_encoded_default_value
        values = parse_dense_default(default, separator, dim, "fg_encoded_default_value")
        return DenseEncoder(column, separator, dim, values)
    values = parse_dense_default(default, separator, dim, "default_value")
    return DenseEncoder(column, separator, dim, values, None if is_encoded(data) else normalize)


def make_dense_embedding(config: Any, value_dim: int) -> DenseEmbedding | None:
    """Read the embedding of a message's numbers, None if there is none.

    Args:
        config: a feature message.
        value_dim: numbers per row, 0 if the values become ids.

    Raises:
        ConfigError: the values become ids or are too many, or the width of the embedding is missing.
    """
    kind = config.WhichOneof("dense_emb")
    if kind is None:
        return None
    if value_dim == 0:
        raise ConfigError([Problem(kind, "applies to numbers, and the values of this feature become ids; choose one")])
    if kind != "mlp" and value_dim > 1:
        raise ConfigError([Problem(kind, f"embeds one number; value_dim is {value_dim}: use mlp")])
    if config.embedding_dim == 0:
        raise ConfigError([Problem("embedding_dim", f"must be above 0: the width of the {kind} embedding")])
    if kind == "piecewise_linear":
        edges = tuple(kwargs(config.piecewise_linear)["edges"])
        if len(edges) < MIN_EDGES:
            raise ConfigError([Problem("piecewise_linear.edges", f"needs at least {MIN_EDGES}; received {len(edges)}")])
        return DenseEmbedding(kind, value_dim, config.embedding_dim, edges=edges)
    return DenseEmbedding(kind, value_dim, config.embedding_dim, **kwargs(getattr(config, kind)))


def parse_dense_default(text: str, separator: str, dim: int, field_name: str) -> Float32Array | None:
    """Read a dense default from a config: `dim` parts, or one part for all; "" means no default.

    Raises:
        ConfigError: a part is not a number, or the number of parts is wrong.
    """
    if not text:
        return None
    words = text.split(separator) if separator else [text]
    if len(words) not in (1, dim):
        raise ConfigError([Problem(field_name, f"{text!r} has {len(words)} values; value_dim is {dim}")])
    try:
        return np.broadcast_to(np.array([parse_number(word) for word in words], np.float32), (dim,))
    except ValueError as error:
        raise ConfigError([Problem(field_name, f"{text!r} is {error}")]) from None
