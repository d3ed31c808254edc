"""overlap_feature: how the words of a query lie in those of a title."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tzrec.config.overlap import METHODS
from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BadRows
from tzrec.features.dag import inputs_of
from tzrec.features.number_feature import NumberFeature
from tzrec.features.text.string_hash import codes, ends
from tzrec.features.text.words import read_words, spelled
from tzrec.protos import data_pb2, feature_pb2


class OverlapFeature(NumberFeature):
    """A measure of two lists of words; 0 where one of them is missing.

    query_common_ratio and title_common_ratio are the shares of one side's different words that the other has;
    is_contain says whether the query's words stand in the title in their order, is_equal whether both are the same;
    index_of is where the query stands in the title in one piece, -1 for nowhere. For the proximity measures see
    `pair_kernels`.
    """

    def __init__(self, config: feature_pb2.OverlapFeature, data: data_pb2.DataConfig) -> None:
        if config.method not in METHODS:
            raise ConfigError([Problem("method", f'"{config.method}" is not one of {", ".join(METHODS)}')])
        self._method = METHODS.index(config.method)
        self._separator = config.separator
        super().__init__(config, data, inputs_of(config, data, "query", "title"))

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        from tzrec.features.kernels import pairs

        query, title = (read_words(columns[each.name], each.name, self._separator, bad) for each in self.inputs)
        sides = (codes(spelled(query.elements)), ends(query), codes(spelled(title.elements)), ends(title))
        values = pairs.overlap(self._method, *sides)
        return pa.array(values, mask=np.isnan(values))
