"""bool_mask_feature: values of one column selected by a mask in a second column, mapped to ids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.bucketize import make_bucketizer
from tzrec.features.column import Column
from tzrec.features.encoders.sparse import make_sparse_encoder, make_table
from tzrec.features.inputs import is_encoded, read_inputs
from tzrec.features.jagged import Elements, Jagged, read_jagged
from tzrec.features.text.spans import Spans
from tzrec.protos import data_pb2, feature_pb2

NO_FLAG = "not true or false, 1 or 0"
OTHER_LENGTH = "mask and values differ in number"
_TRUE, _FALSE = pa.array(["true", "1"], pa.large_string()), pa.array(["false", "0"], pa.large_string())


class BoolMaskFeature(Feature):
    """Values at the true positions of a mask, which is text (true, false, 1, 0), bool, or numbers 1 and 0.

    A row without values, without a mask, or without a selected value takes the default.
    """

    is_sparse = True

    def __init__(self, config: feature_pb2.BoolMaskFeature, data: data_pb2.DataConfig) -> None:
        if len(config.expression) != 2:
            message = f"{len(config.expression)} inputs; list two, the values and then the mask"
            raise ConfigError([Problem("expression", message)])
        bucketizer = make_bucketizer(config, data)
        self.name = config.feature_name
        self.inputs = read_inputs(config, data, "expression")
        self.table = make_table(config, bucketizer.rows)
        self.is_stub = config.stub_type
        self._is_encoded = is_encoded(data)
        self._separator = config.separator
        self.encoder = make_sparse_encoder(self.inputs[0].name, bucketizer, config, data)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        arrays = [columns[source.name] for source in self.inputs]
        if self._is_encoded:
            return self.encoder.encode(arrays[0], bad)
        values = read_jagged(arrays[0], self.inputs[0].name, self._separator)
        mask = read_jagged(arrays[1], self.inputs[1].name, self._separator)
        flags, is_valid = _read_flags(mask.elements)
        is_usable = self._usable_rows(values, mask, is_valid, arrays[1], bad)
        values = values.keep(is_usable[values.row_indices()])
        selected = values.keep(flags[is_usable[mask.row_indices()]])
        return self.encoder.finish(selected, arrays[0], bad)

    def _usable_rows(
        self, values: Jagged, mask: Jagged, is_valid: BoolArray, array: pa.Array, bad: BadRows
    ) -> BoolArray:
        """Return a mask of rows with as many flags as values, `(B,)`; report those that have both and differ."""
        column = self.inputs[1].name
        is_invalid = np.zeros(len(array), np.bool_)
        is_invalid[mask.row_indices()[~is_valid]] = True
        bad.report_array(column, NO_FLAG, np.flatnonzero(is_invalid), array)
        has_both = (values.row_lengths() > 0) & (mask.row_lengths() > 0) & ~is_invalid
        is_unequal = has_both & (values.row_lengths() != mask.row_lengths())
        bad.report_array(column, OTHER_LENGTH, np.flatnonzero(is_unequal), array)
        return has_both & ~is_unequal


def _read_flags(elements: Elements) -> tuple[BoolArray, BoolArray]:
    """Read every element as a flag, and return a mask of those that are one."""
    if not isinstance(elements, Spans):
        return elements == 1, (elements == 1) | (elements == 0)
    words = pc.utf8_lower(pc.utf8_trim_whitespace(elements.to_arrow()))
    is_true = pc.is_in(words, value_set=_TRUE).to_numpy(zero_copy_only=False)
    return is_true, is_true | pc.is_in(words, value_set=_FALSE).to_numpy(zero_copy_only=False)
