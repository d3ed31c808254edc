"""match_feature: values of a map of maps, looked up by two keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import pyarrow as pa

from tzrec.config.rules.bucketizer import set_bucketizers
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features.arrays import Int32Array, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.inputs import read_inputs
from tzrec.features.jagged import Jagged
from tzrec.features.map_lookup_feature import MapLookupFeature
from tzrec.features.text.pairs import NO_PAIR, WILDCARD, Matches, Pairs, find_pairs, read_pairs, split_pairs
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import join, read_words
from tzrec.protos import data_pb2, feature_pb2


class MatchFeature(MapLookupFeature):
    """Values of `outer^inner:value,inner:value|outer^...` under an outer and an inner key.

    The key ALL, in the config or in the data, matches every key. Several numbers of a row are added. Values that are
    hashed are prefixed by the feature's name.
    """

    def __init__(self, config: feature_pb2.MatchFeature, data: data_pb2.DataConfig) -> None:
        self._keys = (config.pkey, config.skey)
        keys = [name for name in ("pkey", "skey") if getattr(config, name) != WILDCARD]
        key_field = "show_pkey" if config.show_pkey else "show_skey" if config.show_skey else ""
        super().__init__(config, data, read_inputs(config, data, "nested_map", *keys), key_field, "sum")
        if self.dim > 1:
            raise ConfigError([Problem("value_dim", f"{self.dim}; a match is one number")])
        self._separator = config.separator
        self._show_keys = (config.show_pkey, config.show_skey)
        self._prefix = self.name if set_bucketizers(config) == ["hash_bucket_size"] else ""

    def find(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Jagged:
        column = self.inputs[0].name
        array = columns[column]
        outer = read_pairs(array, column, "|", "^", bad)
        if not isinstance(outer.values, Spans):
            raise DataError(f'column "{column}" has type {array.type}; the values of its maps must be strings')
        pkeys, skeys = (self._read_keys(key, columns, len(array), bad) for key in self._keys)
        outer_matches = find_pairs(outer, pkeys, WILDCARD)
        row_indices = outer_matches.row_indices()
        inner = self._read_inner(outer.values[outer_matches.pairs], row_indices, array, bad)
        matches = find_pairs(inner, skeys.take(row_indices), WILDCARD)
        assert isinstance(inner.values, Spans)
        prefixes = self._prefixes(outer.keys[outer_matches.pairs][matches.row_indices()], inner.keys[matches.pairs])
        values = reduce(join, [*prefixes, inner.values[matches.pairs]])
        return Jagged(values, _row_lengths(matches, row_indices, len(array)))

    def _read_keys(self, key: str, columns: Mapping[str, pa.Array], rows: int, bad: BadRows) -> Jagged:
        if key == WILDCARD:
            return Jagged(Spans.repeat(WILDCARD, rows), None)
        side, _, name = key.partition(":")
        return read_words(columns[name], name, self._separator, bad, has_fractions=side == "feature")

    def _read_inner(self, maps: Spans, row_indices: Int64Array, array: pa.Array, bad: BadRows) -> Pairs:
        """Read the inner pairs of every matched outer pair."""
        pieces, lengths = maps.split(",")
        keys, values, is_pair = split_pairs(pieces, ":")
        rows = Jagged(pieces, lengths)
        if not is_pair.all():
            bad_rows = np.unique(row_indices[rows.row_indices()[~is_pair]])
            bad.report_array(self.inputs[0].name, NO_PAIR.format(":"), bad_rows, array)
        return Pairs(keys[is_pair], values[is_pair], rows.keep(is_pair).row_lengths())

    def _prefixes(self, pkeys: Spans, skeys: Spans) -> list[Spans]:
        """List the prefixes of each value: the feature's name and the keys, as configured."""
        prefixes = [keys for keys, show in zip((pkeys, skeys), self._show_keys, strict=True) if show]
        return [Spans.repeat(self._prefix, len(pkeys)), *prefixes] if self._prefix else prefixes


def _row_lengths(matches: Matches, row_indices: Int64Array, rows: int) -> Int32Array:
    return np.bincount(row_indices, weights=matches.lengths, minlength=rows).astype(np.int32)
