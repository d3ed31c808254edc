"""lookup_feature: what a map of one column holds for the keys of another."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.features.base import BadRows
from tzrec.features.dag import inputs_of
from tzrec.features.encoders.combined import combiner_of
from tzrec.features.jagged import Jagged
from tzrec.features.map_lookup_feature import MapLookupFeature
from tzrec.features.text.pairs import find, read_pairs
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import join, read_words, spelled
from tzrec.protos import data_pb2, feature_pb2

BETWEEN, WITHIN = "\x1d", ":"


class LookupFeature(MapLookupFeature):
    """Values of `key:value` pairs under the keys of a row; keys that are not there are skipped."""

    def __init__(self, config: feature_pb2.LookupFeature, data: data_pb2.DataConfig) -> None:
        combiner = combiner_of(config) if config.combiner else ""
        inputs = inputs_of(config, data, "map", "key")
        super().__init__(config, data, inputs, "need_key" if config.need_key else "", combiner)
        self._separator = config.separator
        self._need_key = config.need_key

    def find(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Jagged:
        source, key = (each.name for each in self.inputs)
        pairs = read_pairs(columns[source], source, BETWEEN, WITHIN, bad)
        words = read_words(columns[key], key, self._separator, bad)
        found = find(pairs, words)
        values = pairs.values[found.pairs]
        if self._need_key:
            assert isinstance(words.elements, Spans)
            values = join(words.elements[found.words], spelled(values))
        return Jagged(values, found.lengths)
