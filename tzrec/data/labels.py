"""Label and weight columns as numbers.

A label has no default: a row without label or weight is skipped by every policy except ERROR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.label_rules import label_rules
from tzrec.config.label_texts import text_label_advice
from tzrec.data.label_values import num_by_text
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import fix, readable_numbers
from tzrec.protos.pipeline_pb2 import EasyRecConfig

Values = npt.NDArray[Any]


class LabelReader:
    """Reader of the label columns of a config: checks what its losses take.

    Args:
        config: a checked config; without a model, labels may have any finite value.
    """

    def __init__(self, config: EasyRecConfig) -> None:
        self._rules = label_rules(config)

    def __call__(self, name: str, column: pa.Array, bad: BadRows) -> Values:
        """Convert a label column, see `label_values`; rows with a value that a loss does not take are bad as well.

        Raises:
            DataError: the column is not numeric, or holds lists although a loss reads it.
        """
        values, rules = label_values(name, column, bad), self._rules.get(name, ())
        for rule in rules:
            if values.ndim > 1:
                raise DataError(
                    f'label column "{name}" holds lists of {values.shape[1]} numbers; {rule.reader} takes one number. '
                    "Write each of them into a column of its own, and name one in data_config.label_fields"
                )
            is_bad = ~((values >= rule.least) & (values <= rule.most))
            if rule.is_whole:
                is_bad |= values != np.floor(values)
            _report(name, column, is_bad, rule.reason, bad)
            values = np.where(is_bad, values.dtype.type(0), values)
            values = values.astype(np.int64) if rule.is_whole else values
        return values


def label_values(name: str, column: pa.Array, bad: BadRows) -> Values:
    """Convert a label column to `(B,)` int64 or float32, or to `(B, C)` if it holds lists of more than one number.

    Bad rows (null, not finite, a list of another length) are reported and become 0.

    Raises:
        DataError: the column is not numeric.
    """
    column = readable_numbers(column, name, bad)
    if not pa.types.is_list(column.type):
        return _scalars(name, column, bad)
    values = _lists(name, column, bad)
    return values[:, 0] if values.shape[1] == 1 else values


def weight_values(name: str, column: pa.Array, bad: BadRows) -> npt.NDArray[np.float32]:
    """Convert a sample weight column to `(B,)` float32; null, negative and not finite weights are reported, as 0."""
    column = readable_numbers(column, name, bad)
    values = _numbers(name, column, "weight").astype(np.float32)
    _report(name, column, _null(column), "null weight", bad)
    is_bad = ~_null(column) & ~(np.isfinite(values) & (values >= 0))
    _report(name, column, is_bad, "not a weight", bad)
    return np.where(_null(column) | is_bad, np.float32(0), values)


def _scalars(name: str, column: pa.Array, bad: BadRows) -> Values:
    if pa.types.is_string(column.type):
        advice = text_label_advice(name, num_by_text(column))
        raise DataError(f'label column "{name}" is string; it must be integers, floats, or lists of them; {advice}')
    values = _numbers(name, column, "label")
    _report(name, column, _null(column), "null label", bad)
    if values.dtype == np.int64:
        return values
    is_bad = ~_null(column) & ~np.isfinite(values)
    _report(name, column, is_bad, "not a finite number", bad)
    return np.where(is_bad, np.float32(0), values)


def _lists(name: str, column: pa.Array, bad: BadRows) -> Values:
    """Convert lists of one length `(B, C)`; C is the length of most rows of the batch."""
    lengths = np.diff(column.offsets.to_numpy())
    null = _null(column)
    width = max(1, int(np.bincount(lengths[~null]).argmax())) if not null.all() else 1
    _report(name, column, null, "null label", bad)
    _report(name, column, ~null & (lengths != width), "a list of another length", bad)
    is_complete = ~null & (lengths == width)
    shape = (int(is_complete.sum()), width)
    inner = column.filter(pa.array(is_complete)).flatten()
    numbers = _numbers(name, inner, "label")
    is_bad = np.zeros(len(column), dtype=np.bool_)
    is_bad[is_complete] = (_null(inner) | ~np.isfinite(numbers)).reshape(shape).any(axis=1)
    _report(name, column, is_bad, "a list with a null or not finite number", bad)
    values = np.zeros((len(column), width), dtype=numbers.dtype)
    values[is_complete] = numbers.reshape(shape)
    values[is_bad] = 0
    return values


def _null(column: pa.Array) -> npt.NDArray[np.bool_]:
    return column.is_null().to_numpy(zero_copy_only=False)


def _numbers(name: str, column: pa.Array, role: str) -> Values:
    """Convert values to int64 or float32, null to 0.

    Raises:
        DataError: the column is not numeric.
    """
    types = pa.types
    if not (types.is_integer(column.type) or types.is_floating(column.type)):
        raise DataError(
            f'{role} column "{name}" is {column.type}; it must be integers, floats, or lists of them. '
            f"For CSV declare its type in data_config.input_fields, else {fix(column.type)}"
        )
    kind = np.int64 if types.is_integer(column.type) else np.float32
    filled = column.fill_null(0) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False).astype(kind)


def _report(name: str, column: pa.Array, mask: npt.NDArray[np.bool_], reason: str, bad: BadRows) -> None:
    """Report the rows of a mask unless they are reported already: text that is not a number arrives here as null."""
    reported = [rows for reported_name, _, rows, _ in bad.reports if reported_name == name]
    rows = np.flatnonzero(mask)
    if reported:
        rows = np.setdiff1d(rows, np.concatenate(reported))
    if len(rows):
        bad.report(name, reason, rows, column.take(pa.array(rows)).to_pylist())
