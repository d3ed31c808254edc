"""expr_feature: a formula over columns, computed for whole batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.bad_rows import BadRows
from tzrec.features.formula.expression import Expression
from tzrec.features.formula.rows import to_arrow, to_value
from tzrec.features.inputs import read_inputs
from tzrec.features.jagged import Jagged, read_jagged
from tzrec.features.number_feature import NumberFeature
from tzrec.features.numbers import NOT_A_NUMBER
from tzrec.features.text.spans import Spans
from tzrec.protos import data_pb2, feature_pb2


class ExprFeature(NumberFeature):
    """Value of a formula over its variables, each a number or a vector per row.

    A row in which any variable is missing takes the default; one whose value is not finite is bad.
    """

    def __init__(self, config: feature_pb2.ExprFeature, data: data_pb2.DataConfig) -> None:
        if not config.variables:
            raise ConfigError([Problem("variables", "is empty; list the variables of the formula, e.g. user:age")])
        names = [text.partition(":")[2] for text in config.variables]
        fill = config.fill_missing if config.HasField("fill_missing") else np.nan
        try:
            self._formula = Expression(config.expression, names, fill)
        except ValueError as error:
            raise ConfigError([Problem("expression", str(error))]) from None
        self._separator = config.separator
        label = f"{config.feature_name} = {config.expression}"
        super().__init__(config, data, read_inputs(config, data, "variables"), config.value_dim, label)

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        names = [source.name for source in self.inputs]
        variables = {name: self._read_numbers(_expand(columns[name], bad.size), name, bad) for name in names}
        is_complete = np.ones(bad.size, np.bool_)
        for rows in variables.values():
            if rows.lengths is not None:
                is_complete &= rows.lengths > 0
        values = {name: to_value(rows, is_complete) for name, rows in variables.items()}
        return to_arrow(self._formula.evaluate(values), is_complete)

    def _read_numbers(self, array: pa.Array, column: str, bad: BadRows) -> Jagged:
        """Read rows of numbers; a row with a word that is not a number is reported and empty."""
        rows = read_jagged(array, column, self._separator)
        if not isinstance(rows.elements, Spans):
            return rows
        numbers, is_number = rows.elements.parse_floats()
        rows = Jagged(numbers, rows.lengths)
        if is_number.all():
            return rows
        row_indices = rows.row_indices()
        bad_rows = np.unique(row_indices[~is_number])
        bad.report_array(column, NOT_A_NUMBER, bad_rows, array)
        return rows.keep(~np.isin(row_indices, bad_rows))


def _expand(array: pa.Array, rows: int) -> pa.Array:
    """Repeat a single row, as in a request with one user, for all rows; other columns are unchanged."""
    return array if len(array) == rows else array.take(pa.array(np.zeros(rows, np.int64)))
