"""raw_feature: numbers of one column, dense as they are or sparse by boundaries."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BadRows, Feature
from tzrec.features.bucketize import Boundaries
from tzrec.features.column import Column
from tzrec.features.dag import is_encoded, single_input
from tzrec.features.encoders.dense import DenseEncoder, dense_embedding, dense_encoder
from tzrec.features.encoders.sparse import SparseEncoder, numbers_encoder, table_of
from tzrec.features.normalizer import normalizer_of
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
        self.embedding = dense_embedding(config, self.dim)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        return self._encoder.encode(columns[self.inputs[0].name], bad)


def _refuse(config: feature_pb2.RawFeature) -> None:
    if not config.boundaries and config.value_dim == 0:
        raise ConfigError([Problem("value_dim", "0 (any number of values) needs boundaries; a dense width is fixed")])
    edges = list(config.boundaries)
    if edges != sorted(set(edges)):
        raise ConfigError([Problem("boundaries", f"{edges} do not rise")])


def _dense(column: str, config: feature_pb2.RawFeature, data: data_pb2.DataConfig) -> DenseEncoder:
    normalize = normalizer_of(config)
    return dense_encoder(column, config, data, config.value_dim, config.separator, config.default_value, normalize)


def _sparse(column: str, config: feature_pb2.RawFeature, data: data_pb2.DataConfig) -> SparseEncoder:
    bucketizer = Boundaries(config.boundaries, None if is_encoded(data) else normalizer_of(config))
    return numbers_encoder(column, config, data, bucketizer, config.value_dim)
