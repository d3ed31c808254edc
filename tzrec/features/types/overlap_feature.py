"""overlap_feature: measures of the words that a query and a title share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tzrec.config.options import words
from tzrec.errors import ConfigError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.inputs import read_inputs
from tzrec.features.number_feature import NumberFeature
from tzrec.features.text.string_hash import string_hash
from tzrec.features.text.words import read_words, to_text
from tzrec.protos import data_pb2, feature_pb2

METHODS = words(feature_pb2.OverlapFeature, "method")
"""Measures, in the order of their numbers in `tzrec.features.kernels.pairs`."""


class OverlapFeature(NumberFeature):
    """A measure of two lists of words; 0 if one of them is missing.

    query_common_ratio and title_common_ratio are the shares of one side's distinct words that the other side has.
    is_contain is 1 if the title has the query's words in their order, is_equal is 1 if both are the same. index_of is
    the position of the whole query in the title, -1 if it is not there. For the proximity measures see
    `tzrec.features.kernels.pairs`.
    """

    def __init__(self, config: feature_pb2.OverlapFeature, data: data_pb2.DataConfig) -> None:
        if config.method not in METHODS:
            raise ConfigError([Problem("method", f'"{config.method}" is not one of {", ".join(METHODS)}')])
        self._method = METHODS.index(config.method)
        self._separator = config.separator
        super().__init__(config, data, read_inputs(config, data, "query", "title"))

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        from tzrec.features.kernels import pairs

        query, title = (read_words(columns[side.name], side.name, self._separator, bad) for side in self.inputs)
        hashes = [string_hash(to_text(side.elements)) for side in (query, title)]
        values = pairs.overlap(self._method, hashes[0], query.row_ends(), hashes[1], title.row_ends())
        return pa.array(values, mask=np.isnan(values))
