"""bool_mask_feature: the values of one column that a second column lets through, turned into ids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import ConfigError, Problem
from tzrec.features import bucketize
from tzrec.features.arrays import BoolArray
from tzrec.features.base import BadRows, Feature
from tzrec.features.column import Column
from tzrec.features.dag import inputs_of, is_encoded
from tzrec.features.encoders.sparse import report, sparse_encoder, table_of
from tzrec.features.jagged import Elements, Jagged, read
from tzrec.features.text.spans import Spans
from tzrec.protos import data_pb2, feature_pb2

NO_FLAG = "not true or false, 1 or 0"
OTHER_LENGTH = "mask and values differ in number"
_TRUE, _FALSE = pa.array(["true", "1"], pa.large_string()), pa.array(["false", "0"], pa.large_string())


class BoolMaskFeature(Feature):
    """Values whose place in the mask holds true; the mask is text (true, false, 1, 0), bool or numbers 1 and 0.

    A row without values or without a mask takes the default, as does one in which nothing is let through.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.BoolMaskFeature, data: data_pb2.DataConfig) -> None:
        if len(config.expression) != 2:
            message = f"{len(config.expression)} inputs; list two, the values and then the mask"
            raise ConfigError([Problem("expression", message)])
        bucketizer = bucketize.from_config(config, data)
        self.name = config.feature_name
        self.inputs = inputs_of(config, data, "expression")
        self.table = table_of(config, bucketizer.rows)
        self.stub = config.stub_type
        self._is_encoded = is_encoded(data)
        self._separator = config.separator
        self._encoder = sparse_encoder(self.inputs[0].name, bucketizer, config, data)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        arrays = [columns[source.name] for source in self.inputs]
        if self._is_encoded:
            return self._encoder.encode(arrays[0], bad)
        values = read(arrays[0], self.inputs[0].name, self._separator)
        mask = read(arrays[1], self.inputs[1].name, self._separator)
        flags, good = _flags(mask.elements)
        usable = self._usable(values, mask, good, arrays[1], bad)
        values = values.keep(usable[values.owners()])
        kept = values.keep(flags[usable[mask.owners()]])
        return self._encoder.finish(kept.first(self._encoder.limit), arrays[0], bad)

    def _usable(self, values: Jagged, mask: Jagged, good: BoolArray, array: pa.Array, bad: BadRows) -> BoolArray:
        """Rows with values and a mask that fits them, `(B,)`; those where it does not are reported."""
        column = self.inputs[1].name
        spoiled = np.zeros(len(array), np.bool_)
        spoiled[mask.owners()[~good]] = True
        report(bad, column, NO_FLAG, np.flatnonzero(spoiled), array)
        given = (values.counts() > 0) & (mask.counts() > 0) & ~spoiled
        unequal = given & (values.counts() != mask.counts())
        report(bad, column, OTHER_LENGTH, np.flatnonzero(unequal), array)
        return given & ~unequal


def _flags(elements: Elements) -> tuple[BoolArray, BoolArray]:
    """Every element as true or false, and where it is one of both."""
    if not isinstance(elements, Spans):
        return elements == 1, (elements == 1) | (elements == 0)
    words = pc.utf8_lower(pc.utf8_trim_whitespace(elements.arrow()))
    true = pc.is_in(words, value_set=_TRUE).to_numpy(zero_copy_only=False)
    return true, true | pc.is_in(words, value_set=_FALSE).to_numpy(zero_copy_only=False)
