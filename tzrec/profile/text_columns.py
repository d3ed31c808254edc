"""Columns of text files whose cells are written in a way that hides their type, such as words for missing values."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.null_words import is_null_word
from tzrec.data.reader import Reader
from tzrec.data.record_scan import is_number
from tzrec.data.text_ids import first_rows
from tzrec.data.text_schema import valid_text
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import DataConfig

_MIN_NUMBERS = 0.5
"""Share of numbers from which a column counts as one of numbers."""
_MIN_WORD = 0.005
"""Share from which an unknown word may stand for a missing value."""


def declare_null_values(data: DataConfig, reader: Reader) -> tuple[list[Suggestion], list[str]]:
    """Add the words for missing values of columns of numbers, labels aside, to data_config.null_values.

    Returns:
        the change, and a note for each column of numbers with one other, frequent word.
    """
    words: dict[str, list[str]] = {}
    notes = []
    for name, text, counts in _columns(reader):
        if name in data.label_fields:
            continue
        total = sum(counts.values())
        non_numbers = [word for word in counts if is_null_word(word) or not is_number(word)]  # nan is no number here
        known = [word for word in non_numbers if is_null_word(word)]
        if not total or sum(counts[word] for word in non_numbers) > (1 - _MIN_NUMBERS) * total:
            continue
        for word in known:
            words.setdefault(word, []).append(name)
        unknown = [word for word in non_numbers if word not in known]
        if len(unknown) == 1 and counts[unknown[0]] >= _MIN_WORD * total:
            share = 100 * counts[unknown[0]] / total
            setting = f"data_config {{ null_values: {json.dumps(unknown[0])} }}"
            notes.append(
                f'column "{name}" holds numbers but for {unknown[0]!r} in {share:.2g} % of the first {text} rows; '
                f"if it stands for a missing value, add {setting}"
            )
    new = [word for word in sorted(words) if word not in data.null_values]
    if not new:
        return [], notes
    old = list(data.null_values) or None
    data.null_values.extend(new)
    columns = sorted({name for word in new for name in words[word]})
    reason = f"words for a missing value among the numbers of {', '.join(columns)}"
    return [Suggestion(list(data.null_values), reason, "data_config.null_values", old)], notes


def _columns(reader: Reader) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield name, number of rows as text, and the counts of the values of each column in the first rows of files."""
    table = pa.Table.from_batches(list(first_rows(reader)), schema=reader.schema)
    for name, column in zip(table.column_names, table.columns, strict=True):
        cells = pa.chunked_array([valid_text(chunk)[0] for chunk in column.chunks], pa.string()).drop_null()
        counts = pc.value_counts(cells)
        values = counts.field("values").to_pylist()
        yield name, f"{table.num_rows:,}", dict(zip(values, counts.field("counts").to_pylist(), strict=True))
