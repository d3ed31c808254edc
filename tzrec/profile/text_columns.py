"""Words for missing values among the numbers of text files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.null_words import is_null_word
from tzrec.data.record_scan import is_number
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import DataConfig

_MIN_NUMBERS = 0.5
"""Share of numbers from which a column counts as one of numbers."""
_MANY_NUMBERS = 0.9
"""Share of numbers from which a single other word can only stand for a missing value."""
_MIN_WORD = 0.005
"""Share from which an unknown word may stand for a missing value."""


@dataclass
class MissingWords:
    """Words for missing values.

    Attributes:
        suggestions: the change of data_config.null_values, if there is one.
        notes: one for each column of numbers with one other, frequent word that may stand for something else.
        share_by_column: words and their share, as text.
    """

    suggestions: list[Suggestion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    share_by_column: dict[str, str] = field(default_factory=dict)


def declare_null_values(data: DataConfig, rows: pa.Table) -> MissingWords:
    """Add the words for missing values of columns of numbers, labels aside, to data_config.null_values.

    Args:
        data: to change.
        rows: the first rows, as text.
    """
    result = MissingWords()
    columns_by_word: dict[str, list[str]] = {}
    for name, counts in _counts(rows):
        if name in data.label_fields:
            continue
        total = sum(counts.values())
        non_numbers = [word for word in counts if is_null_word(word) or not is_number(word)]  # nan is no number here
        num_numbers = total - sum(counts[word] for word in non_numbers)
        if not total or num_numbers < _MIN_NUMBERS * total:
            continue
        known = [word for word in non_numbers if is_null_word(word)]
        unknown = [word for word in non_numbers if word not in known]
        if len(unknown) == 1 and counts[unknown[0]] >= _MIN_WORD * total:
            if num_numbers >= _MANY_NUMBERS * total:
                known += unknown
            else:
                result.notes.append(_note(name, unknown[0], counts[unknown[0]] / total, rows.num_rows))
        for word in known:
            columns_by_word.setdefault(word, []).append(name)
        if known:
            shares = (f"{100 * counts[word] / total:.2g} % {json.dumps(word, ensure_ascii=False)}" for word in known)
            result.share_by_column[name] = ", ".join(shares)
    new = [word for word in sorted(columns_by_word) if word not in data.null_values]
    if new:
        old = list(data.null_values) or None
        data.null_values.extend(new)
        columns = sorted({name for word in new for name in columns_by_word[word]})
        reason = f"words for a missing value among the numbers of {', '.join(columns)}"
        result.suggestions.append(Suggestion(list(data.null_values), reason, "data_config.null_values", old))
    return result


def _note(name: str, word: str, share: float, num_rows: int) -> str:
    setting = f"data_config {{ null_values: {json.dumps(word)} }}"
    return (
        f'column "{name}" holds numbers but for {word!r} in {100 * share:.2g} % of the first {num_rows:,} rows; '
        f"if it stands for a missing value, add {setting}"
    )


def _counts(rows: pa.Table) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the name of each column and the counts of its values."""
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        counts = pc.value_counts(column.drop_null())
        values = counts.field("values").to_pylist()
        yield name, dict(zip(values, counts.field("counts").to_pylist(), strict=True))
