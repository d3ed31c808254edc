"""TextLabels: labels that are written as text, whose values are found while all rows are read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from threading import Lock

import pyarrow as pa

from tzrec.config.label_texts import MAX_LABEL_TEXTS, label_order, text_label_advice, variants
from tzrec.data.label_values import LabelValues, has_mostly_words, num_by_text
from tzrec.data.null_words import is_null_word, is_text
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import decode
from tzrec.formatting import shorten
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import DataConfig

_NONE = "none"
"""Word for a missing value that is as often a class, such as the absence of a disease."""


class TextLabels:
    """Values of labels of text, in `data_config.label_values`: those of the first rows, and then of all rows.

    Labels whose values the config lists keep them.

    Args:
        data: to change.
        rows: the first rows, with the labels.
        is_csv: true if all columns are text, also those of numbers.
        is_merged: true if texts that differ only in case or in spaces around them are one value.
    """

    def __init__(self, data: DataConfig, rows: pa.Table, is_csv: bool, is_merged: bool) -> None:
        self._data, self._is_merged = data, is_merged
        self._given = {entry.label for entry in data.label_values}
        names = [name for name in data.label_fields if name in self._given or _is_text(rows.column(name), is_csv)]
        self._num_by_value: dict[str, Counter[str]] = {name: Counter() for name in names}
        self._reason_by_label: dict[str, str] = {}
        self._null_words: set[str] = set()
        self._lock = Lock()
        self._values = LabelValues(data)
        for batch in rows.select(names).to_batches():
            self.to_numbers(batch)
        self.is_complete()
        self._num_by_value = {name: Counter() for name in names}

    def to_numbers(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Count the values of the labels in B rows, and replace them by their numbers; threads may share it.

        Raises:
            DataError: a label has too many values.
        """
        for name, total in self._num_by_value.items():
            column = decode(batch.column(name))
            counts = num_by_text(column) if is_text(column.type) else {}
            with self._lock:
                total.update({text: num for text, num in counts.items() if text.strip()})
            if len(total) > MAX_LABEL_TEXTS and name not in self._given:
                raise DataError(f'label column "{name}" is text: {text_label_advice(name, total)}')
        return self._values.to_numbers(batch, BadRows(batch.num_rows))

    def is_complete(self) -> bool:
        """True if the numbers are those of the values that were counted; else list these, to read all rows again."""
        is_changed = False
        for name in self._num_by_value:
            is_changed |= name not in self._given and self._list(name)
        if is_changed:
            self._values = LabelValues(self._data)
            self._num_by_value = {name: Counter() for name in self._num_by_value}
        return not is_changed

    def ensure_values(self) -> None:
        """Check that labels have different values.

        Raises:
            DataError: one has no value, or always the same.
        """
        for name, values in self._values.values_by_label.items():
            if name not in self._given and len(values) < 2:
                raise DataError(f'label column "{name}" {_always(values)}; there is nothing to learn')

    def describe(self, name: str) -> str:
        """The numbers of the values of a label; "" for a label of numbers."""
        values = self._values.values_by_label.get(name, [])
        return shorten(", ".join(f"{_quoted(value)} is {number}" for number, value in enumerate(values)))

    def suggestions(self) -> Iterator[Suggestion]:
        """Yield the settings that were made."""
        if self._null_words:
            reason = f"words for a missing label in {', '.join(sorted(self._num_by_value))}"
            yield Suggestion(list(self._data.null_values), reason, "data_config.null_values")
        for index, entry in enumerate(self._data.label_values):
            if entry.label in self._given:
                continue
            reason = self._reason_by_label[entry.label]
            if len(entry.values) == 2:
                reason += f"; to predict {_quoted(entry.values[0])} in its place, swap the two"
            path = f"data_config.label_values[{index}].values"
            yield Suggestion(list(entry.values), f"{entry.label}: {reason}", path)

    def notes(self) -> Iterator[str]:
        """Yield what a user should know about the values: similar ones, and those that are not listed."""
        for name, counts in self._num_by_value.items():
            values = self._values.values_by_label.get(name, [])
            for group in variants(counts) if not self._is_merged and name not in self._given else ():
                yield (
                    f'label "{name}": {_listed(group)} differ only in case or in spaces around them, and are different '
                    "values; --merge_label_variants makes one of them"
                )
            for value in values:
                if value.strip().lower() == _NONE and name not in self._given:
                    yield (
                        f'label "{name}": {_quoted(value)} is taken as a value; if it means that there is none, add '
                        f"data_config {{ null_values: {_quoted(value)} }}"
                    )
            unlisted = [text for text in counts if text not in values]
            if name in self._given and unlisted and not self._is_merged_by_config(name):
                num = sum(counts[text] for text in unlisted)
                yield f'label "{name}" is {_listed(unlisted)} in {num:,} rows, which label_values does not list'

    def _is_merged_by_config(self, name: str) -> bool:
        return any(entry.label == name and entry.merge_variants for entry in self._data.label_values)

    def _list(self, name: str) -> bool:
        """List the counted values of a label, in the order of their numbers; returns true if that is a change."""
        counts = dict(self._num_by_value[name])
        nulls = {text for text in counts if is_null_word(text) and text.strip().lower() != _NONE}
        new = sorted(nulls.difference(self._data.null_values))
        self._data.null_values.extend(new)
        self._null_words.update(new)
        counts = {text: num for text, num in counts.items() if text not in nulls}
        groups = variants(counts) if self._is_merged else []
        for group in groups:
            total = sum(counts[text] for text in group)
            most = max(group, key=lambda text: counts[text])
            counts = {text: num for text, num in counts.items() if text not in group} | {most: total}
        order = label_order(counts)
        self._reason_by_label[name] = order.reason
        entry = next((entry for entry in self._data.label_values if entry.label == name), None)
        if entry is None:
            entry = self._data.label_values.add(label=name)
        if list(entry.values) == list(order.values) and entry.merge_variants == bool(groups) and not new:
            return False
        entry.values[:] = order.values
        if groups:
            entry.merge_variants = True
        return True


def _is_text(column: pa.ChunkedArray, is_csv: bool) -> bool:
    if not is_text(column.type):
        return False
    return not is_csv or has_mostly_words(num_by_text(decode(column.combine_chunks())))


def _always(values: list[str]) -> str:
    return f"is always {_quoted(values[0])}" if values else "holds no value in any row"


def _listed(texts: list[str]) -> str:
    return shorten(", ".join(map(_quoted, texts)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
