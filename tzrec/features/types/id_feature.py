"""id_feature: ids of one column, one or many per row, with or without weights."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.features import bucketize
from tzrec.features.base import BadRows, Feature
from tzrec.features.column import Column
from tzrec.features.dag import single_input
from tzrec.features.encoders.sparse import SparseEncoder, encoded_ids, parse_default, table_of
from tzrec.protos import data_pb2, feature_pb2


class IdFeature(Feature):
    """Values of a column, turned into rows of a table.

    Encoded data (FG_NONE) holds row numbers already: they are read and checked against the table.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.IdFeature, data: data_pb2.DataConfig) -> None:
        source = single_input(config, data)
        bucketizer = bucketize.from_config(config, data)
        self.name = config.feature_name
        self.inputs = (source,)
        self.table = table_of(config, bucketizer.rows)
        self.is_weighted = config.weighted
        self.stub = config.stub_type
        if data.fg_mode == data_pb2.FG_NONE:
            self._encoder = encoded_ids(source.name, bucketizer.rows, config, data, config.weighted)
            return
        default = parse_default(
            config.default_value, config.separator, bucketizer, "default_value", config.value_dim, config.weighted
        )
        self._encoder = SparseEncoder(
            source.name, bucketizer, config.separator, default, limit=config.value_dim, weighted=config.weighted
        )

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        return self._encoder.encode(columns[self.inputs[0].name], bad)
