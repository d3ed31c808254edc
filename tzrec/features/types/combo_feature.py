"""combo_feature: the cross of two or more columns; each combination of their values is one id."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features import bucketize
from tzrec.features.base import BadRows, Feature
from tzrec.features.column import Column
from tzrec.features.dag import inputs_of, is_encoded
from tzrec.features.encoders.sparse import sparse_encoder, table_of
from tzrec.features.text.words import cross, read_words
from tzrec.protos import data_pb2, feature_pb2


class ComboFeature(Feature):
    """Words of several columns in every combination, joined by "_", turned into rows of a table.

    The first input is outermost: users ua, ub and items ia, ib make ua_ia, ua_ib, ub_ia, ub_ib. A row in which any
    input is missing takes the default.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.ComboFeature, data: data_pb2.DataConfig) -> None:
        if len(config.expression) < 2:
            raise ConfigError([Problem("expression", f"{len(config.expression)} inputs; a cross needs 2 or more")])
        bucketizer = bucketize.from_config(config, data)
        self.name = config.feature_name
        self.inputs = inputs_of(config, data, "expression")
        self.table = table_of(config, bucketizer.rows)
        self.stub = config.stub_type
        self._separator = config.separator
        self._is_encoded = is_encoded(data)
        self._encoder = sparse_encoder(self.inputs[0].name, bucketizer, config, data)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        arrays = [columns[source.name] for source in self.inputs]
        if self._is_encoded:
            return self._encoder.encode(arrays[0], bad)
        words = (
            read_words(array, source.name, self._separator, bad)
            for array, source in zip(arrays, self.inputs, strict=True)
        )
        return self._encoder.finish(reduce(cross, words), arrays[0], bad)
