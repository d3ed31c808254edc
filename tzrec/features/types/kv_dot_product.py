"""kv_dot_product: the dot product of two sparse vectors, or how many keys two sets share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BadRows
from tzrec.features.dag import inputs_of
from tzrec.features.encoders.sparse import BAD_WEIGHT, report
from tzrec.features.jagged import Jagged, read
from tzrec.features.number_feature import NumberFeature
from tzrec.features.text.string_hash import codes, ends
from tzrec.features.text.words import spelled
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
        super().__init__(config, data, inputs_of(config, data, "query", "document"))

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        from tzrec.features.kernels import pairs

        query, document = (_read(columns[each.name], each.name, self._separator, bad) for each in self.inputs)
        values = pairs.dot(*_arrays(query), *_arrays(document))
        return pa.array(values, mask=np.isnan(values))


def _read(array: pa.Array, column: str, separator: str, bad: BadRows) -> Jagged:
    """Keys and weights; a row with a weight that is no number is reported and empty."""
    rows = read(array, column, separator, weighted=True)
    assert rows.weights is not None
    finite = np.isfinite(rows.weights)
    if finite.all():
        return rows
    owners = rows.owners()
    wrong = np.unique(owners[~finite])
    report(bad, column, BAD_WEIGHT, wrong, array)
    return rows.keep(~np.isin(owners, wrong))


def _arrays(rows: Jagged) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Codes of the keys, their weights and where each row ends."""
    assert rows.weights is not None
    return codes(spelled(rows.elements)), rows.weights.astype(np.float64), ends(rows)
