"""LabelValues: labels that are written as text, as the numbers that `data_config.label_values` gives them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.label_texts import number_of
from tzrec.data.null_words import is_null_word
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import decode
from tzrec.protos import data_pb2

NOT_LISTED = "not one of its data_config.label_values"
"""Reason of a bad label."""


class LabelValues:
    """Numbers of the values of labels: their positions in `data_config.label_values`.

    Args:
        data: of a checked config.

    Attributes:
        values_by_label: the values in the order of their numbers.
    """

    def __init__(self, data: data_pb2.DataConfig) -> None:
        self.values_by_label = {entry.label: list(entry.values) for entry in data.label_values}
        self._labels = list(data.label_fields)
        self._is_merged = {entry.label: entry.merge_variants for entry in data.label_values}

    def to_numbers(self, targets: pa.RecordBatch, bad: BadRows) -> pa.RecordBatch:
        """Replace the values of labels by their numbers, and bool by 0 and 1; a missing one stays missing.

        Args:
            targets: label columns, and others, `(B,)` each.
            bad: collects the rows with a value that is not listed, which becomes missing.

        Example:
            >>> from tzrec.protos.data_pb2 import DataConfig
            >>> values = {"label": "buy", "values": ["no", "yes"]}
            >>> data = DataConfig(label_fields=["buy"], label_values=[values])
            >>> bad = BadRows(3)
            >>> batch = pa.record_batch({"buy": ["yes", "maybe", "no"]})
            >>> LabelValues(data).to_numbers(batch, bad).column("buy").to_pylist()
            [1, None, 0]
            >>> bad.mask.tolist()
            [False, True, False]
        """
        for name in self._labels:
            index = targets.schema.get_field_index(name)
            if index < 0:
                continue
            column, values = decode(targets.column(index)), self.values_by_label.get(name)
            if values:
                numbers = self._listed(name, column, values, bad)
            else:
                numbers = column.cast(pa.int64()) if pa.types.is_boolean(column.type) else column
            targets = targets.set_column(index, name, numbers)
        return targets

    def _listed(self, name: str, column: pa.Array, values: list[str], bad: BadRows) -> pa.Array:
        """Replace values by their numbers; lists and types that no label has stay as they are."""
        if pa.types.is_string(column.type):
            column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
        numbers = _numbers(column, values, self._is_merged[name])
        if numbers is None:
            return column
        bad.report_array(name, NOT_LISTED, np.flatnonzero(pc.and_(column.is_valid(), numbers.is_null())), column)
        return numbers

    def to_column(self, name: str, numbers: pa.Array) -> pa.Array:
        """Write the numbers of a label, `(B,)` int64, as its values; those of a label without values as they are."""
        values = self.values_by_label.get(name)
        return pa.array(values, pa.string()).take(numbers) if values else numbers


def num_by_text(column: pa.Array) -> dict[str, int]:
    """Number of rows by text, of a column of strings."""
    counts = pc.value_counts(column.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def has_mostly_words(num_by_value: Mapping[str, int]) -> bool:
    """True for the cells of a label that are words rather than numbers; words for a missing value do not count."""
    num_words = sum(num for text, num in num_by_value.items() if number_of(text) is None and not is_null_word(text))
    return num_words > sum(num for text, num in num_by_value.items() if number_of(text) is not None)


def _numbers(column: pa.Array, values: list[str], is_merged: bool) -> pa.Array | None:
    """Number of each value as int64 `(B,)`, null where it is missing or not listed; None for lists and other types."""
    types = pa.types
    if types.is_string(column.type):
        texts = pa.array(values, pa.string())
        if is_merged:
            column, texts = _normalized(column), _normalized(texts)
        return pc.index_in(column, texts, skip_nulls=True).cast(pa.int64())
    if types.is_boolean(column.type):
        texts = _normalized(pa.array(values, pa.string()))
        return pc.index_in(column.cast(pa.string()), texts, skip_nulls=True).cast(pa.int64())
    if types.is_integer(column.type) or types.is_floating(column.type):
        numbers = [number_of(value) for value in values]
        positions = [position for position, number in enumerate(numbers) if number is not None]
        listed = pa.array([numbers[position] for position in positions], pa.float64())
        matches = pc.index_in(column.cast(pa.float64(), safe=False), listed, skip_nulls=True)
        return pa.array(positions, pa.int64()).take(matches)
    return pa.array([None] * len(column), pa.int64()) if types.is_null(column.type) else None


def _normalized(texts: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.utf8_trim_whitespace(texts))
