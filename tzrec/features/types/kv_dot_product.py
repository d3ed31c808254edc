"""kv_dot_product: the dot product of two sparse vectors, or the number of keys that two sets share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.encoders.sparse import BAD_WEIGHT
from tzrec.features.inputs import read_inputs
from tzrec.features.jagged import Jagged, read_jagged
from tzrec.features.number_feature import NumberFeature
from tzrec.features.text.string_hash import string_hash
from tzrec.features.text.words import to_text
from tzrec.protos import data_pb2, feature_pb2


class KvDotProduct(NumberFeature):
    """Sum over the keys of both sides of the product of their weights; a key without a weight weighs 1.

    Sides are strings `key:weight`, lists of these, or maps. A row in which a side is empty takes the default.
    """

    def __init__(self, config: feature_pb2.KvDotProduct, data: data_pb2.DataConfig) -> None:
        if config.HasField("kv_delimiter"):
            message = (
                'the schema declares a number, which cannot stand for a character; leave it out and write "key:weight"'
            )
            raise ConfigError([Problem("kv_delimiter", message)])
        self._separator = config.separator
        super().__init__(config, data, read_inputs(config, data, "query", "document"))

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        from tzrec.features.kernels import pairs

        query, document = (_read_weighted(columns[side.name], side.name, self._separator, bad) for side in self.inputs)
        values = pairs.dot(*_to_arrays(query), *_to_arrays(document))
        return pa.array(values, mask=np.isnan(values))


def _read_weighted(array: pa.Array, column: str, separator: str, bad: BadRows) -> Jagged:
    """Read keys and weights; a row with a weight that is not a number is reported and empty."""
    rows = read_jagged(array, column, separator, weighted=True)
    assert rows.weights is not None
    is_finite = np.isfinite(rows.weights)
    if is_finite.all():
        return rows
    row_indices = rows.row_indices()
    bad_rows = np.unique(row_indices[~is_finite])
    bad.report_array(column, BAD_WEIGHT, bad_rows, array)
    return rows.keep(~np.isin(row_indices, bad_rows))


def _to_arrays(rows: Jagged) -> tuple[Int64Array, npt.NDArray[np.float64], Int64Array]:
    """Return the string hashes of the keys, their weights, and the end of each row."""
    assert rows.weights is not None
    return string_hash(to_text(rows.elements)), rows.weights.astype(np.float64), rows.row_ends()
