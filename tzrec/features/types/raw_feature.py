"""raw_feature: numbers of one column, dense, or ids by boundaries."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.column import Column
from tzrec.features.encoders.dense import make_dense_embedding
from tzrec.features.encoders.number import make_number_encoder
from tzrec.features.encoders.sparse import make_table
from tzrec.features.inputs import read_input
from tzrec.protos import data_pb2, feature_pb2


class RawFeature(Feature):
    """`value_dim` numbers of a column, normalized; with boundaries one id for each of them.

    A missing row takes default_value, which is mapped by the boundaries but not normalized.
    """

    table = None

    def __init__(self, config: feature_pb2.RawFeature, data: data_pb2.DataConfig) -> None:
        if not config.boundaries and config.value_dim == 0:
            message = "0 (any number of values) needs boundaries; a dense width is fixed"
            raise ConfigError([Problem("value_dim", message)])
        source = read_input(config, data)
        self.name = config.feature_name
        self.inputs = (source,)
        self.is_stub = config.stub_type
        self.is_sparse = bool(config.boundaries)
        if self.is_sparse:
            self.table = make_table(config, len(config.boundaries) + 1)
        else:
            self.dim = config.value_dim
        self.encoder = make_number_encoder(source.name, config, data, config.value_dim)
        self.embedding = make_dense_embedding(config, self.dim)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        return self.encoder.encode(columns[self.inputs[0].name], bad)
