"""match_feature: what a map of maps holds for two keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import pyarrow as pa

from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features import bucketize
from tzrec.features.arrays import Int64Array
from tzrec.features.base import BadRows
from tzrec.features.dag import inputs_of
from tzrec.features.encoders.sparse import report
from tzrec.features.jagged import Jagged
from tzrec.features.map_lookup_feature import MapLookupFeature
from tzrec.features.text.pairs import NO_PAIR, WILDCARD, Found, Pairs, cut, find, read_pairs
from tzrec.features.text.spans import Spans
from tzrec.features.text.words import join, read_words
from tzrec.protos import data_pb2, feature_pb2


class MatchFeature(MapLookupFeature):
    """Values of `outer^inner:value,inner:value|outer^...` under an outer and an inner key.

    The key ALL, in the config or in the data, stands for every key. Several numbers found are added. Values that are
    hashed begin with the feature's name.
    """

    def __init__(self, config: feature_pb2.MatchFeature, data: data_pb2.DataConfig) -> None:
        self._keys = (config.pkey, config.skey)
        keys = [name for name in ("pkey", "skey") if getattr(config, name) != WILDCARD]
        shown = "show_pkey" if config.show_pkey else "show_skey" if config.show_skey else ""
        super().__init__(config, data, inputs_of(config, data, "nested_map", *keys), shown, "sum")
        if self.dim > 1:
            raise ConfigError([Problem("value_dim", f"{self.dim}; a match is one number")])
        self._separator = config.separator
        self._shows = (config.show_pkey, config.show_skey)
        self._prefix = self.name if bucketize.chosen(config) == ["hash_bucket_size"] else ""

    def find(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Jagged:
        column = self.inputs[0].name
        array = columns[column]
        outer = read_pairs(array, column, "|", "^", bad)
        if not isinstance(outer.values, Spans):
            raise DataError(f'column "{column}" has type {array.type}; the values of its maps must be strings')
        pkeys, skeys = (self._words(key, columns, len(array), bad) for key in self._keys)
        first = find(outer, pkeys, WILDCARD)
        owners = first.owners()
        inner = self._inner(outer.values[first.pairs], owners, array, bad)
        second = find(inner, skeys.take(owners), WILDCARD)
        assert isinstance(inner.values, Spans)
        shown = self._shown(outer.keys[first.pairs][second.owners()], inner.keys[second.pairs])
        values = reduce(join, [*shown, inner.values[second.pairs]])
        return Jagged(values, _per_row(second, owners, len(array)))

    def _words(self, key: str, columns: Mapping[str, pa.Array], rows: int, bad: BadRows) -> Jagged:
        if key == WILDCARD:
            return Jagged(Spans.repeat(WILDCARD, rows), None)
        name = key.partition(":")[2]
        return read_words(columns[name], name, self._separator, bad)

    def _inner(self, maps: Spans, owners: Int64Array, array: pa.Array, bad: BadRows) -> Pairs:
        """The inner pairs of every outer one that was found."""
        pieces, lengths = maps.split(",")
        keys, values, good = cut(pieces, ":")
        rows = Jagged(pieces, lengths)
        if not good.all():
            wrong = owners[rows.owners()[~good]]
            report(bad, self.inputs[0].name, NO_PAIR.format(":"), np.unique(wrong), array)
        return Pairs(keys[good], values[good], rows.keep(good).counts())

    def _shown(self, pkeys: Spans, skeys: Spans) -> list[Spans]:
        """What comes before each value found."""
        shown = [keys for keys, is_shown in zip((pkeys, skeys), self._shows, strict=True) if is_shown]
        return [Spans.repeat(self._prefix, len(pkeys)), *shown] if self._prefix else shown


def _per_row(found: Found, owners: Int64Array, rows: int) -> np.ndarray:
    return np.bincount(owners, weights=found.lengths, minlength=rows).astype(np.int32)
