"""combo_feature: the cross of two or more columns; each combination of their values is one id."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.bucketize import make_bucketizer
from tzrec.features.column import Column
from tzrec.features.encoders.sparse import make_sparse_encoder, make_table
from tzrec.features.inputs import is_encoded, read_inputs
from tzrec.features.text.words import cross, read_words
from tzrec.protos import data_pb2, feature_pb2


class ComboFeature(Feature):
    """Words of several columns in every combination, joined by "_", mapped to rows of a table.

    The first input is outermost: users ua, ub and items ia, ib make ua_ia, ua_ib, ub_ia, ub_ib. A row in which any
    input is missing takes the default.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.ComboFeature, data: data_pb2.DataConfig) -> None:
        if len(config.expression) < 2:
            raise ConfigError([Problem("expression", f"{len(config.expression)} inputs; a cross needs 2 or more")])
        bucketizer = make_bucketizer(config, data)
        self.name = config.feature_name
        self.inputs = read_inputs(config, data, "expression")
        self.table = make_table(config, bucketizer.rows)
        self.is_stub = config.stub_type
        self._separator = config.separator
        self._is_encoded = is_encoded(data)
        self.encoder = make_sparse_encoder(self.inputs[0].name, bucketizer, config, data)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        arrays = [columns[source.name] for source in self.inputs]
        if self._is_encoded:
            return self.encoder.encode(arrays[0], bad)
        words = (
            read_words(array, source.name, self._separator, bad)
            for array, source in zip(arrays, self.inputs, strict=True)
        )
        return self.encoder.finish(reduce(cross, words), arrays[0], bad)
