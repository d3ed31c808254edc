"""raw_feature: numbers of one column, dense as they are or sparse by boundaries."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BadRows, Feature
from tzrec.features.bucketize import Boundaries
from tzrec.features.column import Column
from tzrec.features.dag import single_input
from tzrec.features.dense import DenseEncoder, parse_dense_default
from tzrec.features.normalizer import Normalizer, parse_normalizer
from tzrec.features.sparse import SparseEncoder, encoded_ids, parse_default, table_of
from tzrec.protos import data_pb2, feature_pb2


class RawFeature(Feature):
    """`value_dim` numbers of a column, normalized; with boundaries one id for each of them.

    A missing row takes default_value, which no normalizer touches but the boundaries do.
    """

    table = None

    def __init__(self, config: feature_pb2.RawFeature, data: data_pb2.DataConfig) -> None:
        _refuse(config)
        source = single_input(config, data)
        self.name = config.feature_name
        self.inputs = (source,)
        self.stub = config.stub_type
        self.is_sparse = bool(config.boundaries)
        self._encoder: SparseEncoder | DenseEncoder
        if self.is_sparse:
            self.table = table_of(config, len(config.boundaries) + 1)
            self._encoder = _sparse(source.name, config, data)
        else:
            self.dim = config.value_dim
            self._encoder = _dense(source.name, config, data)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        return self._encoder.encode(columns[self.inputs[0].name], bad)


def _refuse(config: feature_pb2.RawFeature) -> None:
    embedded = config.WhichOneof("dense_emb")
    if embedded:
        raise ConfigError([Problem(embedded, "not implemented yet; leave it out or use boundaries")])
    if not config.boundaries and config.value_dim == 0:
        raise ConfigError([Problem("value_dim", "0 (any number of values) needs boundaries; a dense width is fixed")])
    edges = list(config.boundaries)
    if edges != sorted(set(edges)):
        raise ConfigError([Problem("boundaries", f"{edges} do not rise")])


def _normalizer(config: feature_pb2.RawFeature) -> Normalizer | None:
    try:
        return parse_normalizer(config.normalizer) if config.normalizer else None
    except ValueError as error:
        raise ConfigError([Problem("normalizer", str(error))]) from None


def _dense(column: str, config: feature_pb2.RawFeature, data: data_pb2.DataConfig) -> DenseEncoder:
    dim = config.value_dim
    if data.fg_mode == data_pb2.FG_NONE:
        separator = data.fg_encoded_multival_sep
        default = parse_dense_default(config.fg_encoded_default_value, separator, dim, "fg_encoded_default_value")
        return DenseEncoder(column, separator, dim, default)
    default = parse_dense_default(config.default_value, config.separator, dim, "default_value")
    return DenseEncoder(column, config.separator, dim, default, _normalizer(config))


def _sparse(column: str, config: feature_pb2.RawFeature, data: data_pb2.DataConfig) -> SparseEncoder:
    bucketizer = Boundaries(config.boundaries, _normalizer(config))
    if data.fg_mode == data_pb2.FG_NONE:
        return encoded_ids(column, bucketizer.rows, config, data)
    dim = config.value_dim
    default = parse_default(config.default_value, config.separator, bucketizer, "default_value")
    if dim and len(default.ids) == 1:
        default = default.repeat(dim)
    if len(default.ids) not in (0, dim or len(default.ids)):
        message = f"{config.default_value!r} has {len(default.ids)} values; value_dim is {dim}"
        raise ConfigError([Problem("default_value", message)])
    return SparseEncoder(column, bucketizer, config.separator, default, exact=dim)
