"""lookup_feature: values of a map in one column, looked up by the keys of another."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tzrec.features.bad_rows import BadRows
from tzrec.features.encoders.combined import read_combiner
from tzrec.features.inputs import read_inputs
from tzrec.features.jagged import Jagged
from tzrec.features.map_lookup_feature import MapLookupFeature
from tzrec.features.text.pairs import find_pairs, read_pairs
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import join, read_words, to_text
from tzrec.protos import data_pb2, feature_pb2

PAIR_SEPARATOR, KEY_DELIMITER = "\x1d", ":"


class LookupFeature(MapLookupFeature):
    """Values of `key:value` pairs under the keys of a row; keys without a pair are skipped."""

    def __init__(self, config: feature_pb2.LookupFeature, data: data_pb2.DataConfig) -> None:
        combiner = read_combiner(config) if config.combiner else ""
        inputs = read_inputs(config, data, "map", "key")
        super().__init__(config, data, inputs, "need_key" if config.need_key else "", combiner)
        self._separator = config.separator
        self._need_key = config.need_key

    def find(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Jagged:
        map_name, key_name = (source.name for source in self.inputs)
        is_computed = self.inputs[1].side == "feature"  # of any numbers
        pairs = read_pairs(columns[map_name], map_name, PAIR_SEPARATOR, KEY_DELIMITER, bad)
        keys = read_words(columns[key_name], key_name, self._separator, bad, has_fractions=is_computed)
        matches = find_pairs(pairs, keys)
        values = pairs.values[matches.pairs]
        if self._need_key:
            assert isinstance(keys.elements, Spans)
            values = join(keys.elements[matches.words], to_text(values))
        return Jagged(values, matches.lengths)
