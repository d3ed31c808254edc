"""id_feature: ids of one column, one or many per row, with or without weights."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.bucketize import make_bucketizer
from tzrec.features.column import Column
from tzrec.features.encoders.sparse import SparseEncoder, make_encoded_ids_encoder, make_table, parse_default
from tzrec.features.inputs import read_input
from tzrec.protos import data_pb2, feature_pb2


class IdFeature(Feature):
    """Values of a column, mapped to rows of a table.

    Encoded data (FG_NONE) holds row numbers already, which are read and checked against the table.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.IdFeature, data: data_pb2.DataConfig) -> None:
        source = read_input(config, data)
        bucketizer = make_bucketizer(config, data)
        self.name = config.feature_name
        self.inputs = (source,)
        self.table = make_table(config, bucketizer.rows)
        self.is_weighted = config.weighted
        self.is_stub = config.stub_type
        if data.fg_mode == data_pb2.FG_NONE:
            self.encoder = make_encoded_ids_encoder(source.name, bucketizer.rows, config, data, config.weighted)
            return
        default = parse_default(
            config.default_value, config.separator, bucketizer, "default_value", config.value_dim, config.weighted
        )
        self.encoder = SparseEncoder(
            source.name, bucketizer, config.separator, default, limit=config.value_dim, weighted=config.weighted
        )

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        return self.encoder.encode(columns[self.inputs[0].name], bad)
