"""expr_feature: a formula over columns, computed for whole batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import BoolArray
from tzrec.features.base import BadRows
from tzrec.features.bucketize import NOT_A_NUMBER
from tzrec.features.dag import inputs_of
from tzrec.features.encoders.sparse import report
from tzrec.features.formula.expression import Expression
from tzrec.features.formula.vectors import Value, Vectors
from tzrec.features.jagged import Jagged, read
from tzrec.features.number_feature import NumberFeature
from tzrec.features.text.spans import Spans
from tzrec.protos import data_pb2, feature_pb2


class ExprFeature(NumberFeature):
    """What a formula makes of its variables, each a number or a vector per row.

    A row in which any variable is missing takes the default; one whose value is not finite is bad.
    """

    def __init__(self, config: feature_pb2.ExprFeature, data: data_pb2.DataConfig) -> None:
        if not config.variables:
            raise ConfigError([Problem("variables", "is empty; list what the formula reads, e.g. user:age")])
        names = [text.partition(":")[2] for text in config.variables]
        fill = config.fill_missing if config.HasField("fill_missing") else np.nan
        try:
            self._formula = Expression(config.expression, names, fill)
        except ValueError as error:
            raise ConfigError([Problem("expression", str(error))]) from None
        self._separator = config.separator
        label = f"{config.feature_name} = {config.expression}"
        super().__init__(config, data, inputs_of(config, data, "variables"), config.value_dim, label)

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        names = [source.name for source in self.inputs]
        variables = {name: self._read(_stretched(columns[name], bad.size), name, bad) for name in names}
        given = np.ones(bad.size, np.bool_)
        for rows in variables.values():
            if rows.lengths is not None:
                given &= rows.lengths > 0
        values = {name: _of_rows(rows, given) for name, rows in variables.items()}
        return _array(self._formula.over_rows(values), given)

    def _read(self, array: pa.Array, column: str, bad: BadRows) -> Jagged:
        """Rows of numbers; those with a word that is none are reported and empty."""
        rows = read(array, column, self._separator)
        if not isinstance(rows.elements, Spans):
            return rows
        numbers, good = rows.elements.floats()
        rows = Jagged(numbers, rows.lengths)
        if good.all():
            return rows
        owners = rows.owners()
        wrong = np.unique(owners[~good])
        report(bad, column, NOT_A_NUMBER, wrong, array)
        return rows.keep(~np.isin(owners, wrong))


def _stretched(array: pa.Array, rows: int) -> pa.Array:
    """The column as it is; a single row beside many, as in a request with one user, goes with all of them."""
    return array if len(array) == rows else array.take(pa.array(np.zeros(rows, np.int64)))


def _of_rows(rows: Jagged, given: BoolArray) -> Value:
    """The values of the given rows, none of which is empty."""
    assert isinstance(rows.elements, np.ndarray)
    if rows.lengths is None:
        return rows.elements[given]
    lengths = rows.lengths[given].astype(np.int64)
    values = rows.elements[np.repeat(given, rows.lengths)].astype(np.float64)
    return values if (lengths == 1).all() else Vectors(values, lengths)


def _array(result: Value, given: BoolArray) -> pa.Array:
    """The result as an Arrow array of all rows, null or empty where they are not given."""
    if isinstance(result, Vectors):
        lengths = np.zeros(len(given), np.int64)
        lengths[given] = result.lengths
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(result.values, from_pandas=False))
    numbers = np.zeros(len(given))
    numbers[given] = result
    return pa.array(numbers, mask=~given, from_pandas=False)
