"""SeqExpr: a formula over numbers, for each element of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import NAME_IN_FORMULA
from tzrec.errors import ConfigError, Problem
from tzrec.features.formula.expression import Expression
from tzrec.features.formula.rows import to_arrow, to_value
from tzrec.features.jagged import Jagged, read_jagged
from tzrec.features.text.spans import Spans
from tzrec.features.types.custom_feature import Operator

SPHERICAL_DISTANCE = "spherical_distance"
"""Formula of the distance in km between two points: longitude and latitude of one, then of the other."""

_SEPARATOR = "\x1d"


class SeqExpr(Operator):
    """Value of a formula over the inputs, in the grammar of expr_feature; null where an input is missing.

    Args:
        params: `formula`, over the names of the inputs, or "spherical_distance".
    """

    is_thread_safe = True

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self._text = str(params.get("formula", ""))
        if not self._text:
            message = f'SeqExpr needs a formula, e.g. "now - click_time" or "{SPHERICAL_DISTANCE}"'
            raise ConfigError([Problem("operator_params", message)])

    def bind(self, names: tuple[str, ...]) -> None:
        """Parse the formula, in which inputs of a sequence_feature have their names without its prefix."""
        self._names = names
        full_names = {name.partition("__")[2]: name for name in names} | {name: name for name in names}
        text = NAME_IN_FORMULA.sub(lambda match: full_names.get(match[0], match[0]), self._text)
        if text == SPHERICAL_DISTANCE:
            if len(names) != 4:
                message = f"{len(names)} inputs; {SPHERICAL_DISTANCE} reads longitude and latitude of two points"
                raise ConfigError([Problem("expression", message)])
            text = f"haversine({', '.join(names)})"
        try:
            self._formula = Expression(text, names)
        except ValueError as error:
            raise ConfigError([Problem("operator_params", f"formula {error}")]) from None

    def __call__(self, *columns: pa.Array) -> pa.Array:
        rows = {name: _read_numbers(array, name) for name, array in zip(self._names, columns, strict=True)}
        is_complete = np.ones(len(columns[0]), np.bool_)
        for numbers in rows.values():
            is_complete &= numbers.row_lengths() > 0
        values = {name: to_value(numbers, is_complete) for name, numbers in rows.items()}
        return to_arrow(self._formula.evaluate(values), is_complete)


def _read_numbers(array: pa.Array, column: str) -> Jagged:
    """Read rows of numbers; a word that is not a number is NaN, which the feature reports as a bad value."""
    rows = read_jagged(array, column, _SEPARATOR)
    if not isinstance(rows.elements, Spans):
        return rows
    numbers, is_number = rows.elements.parse_floats()
    return Jagged(np.where(is_number, numbers, np.nan), rows.lengths)
