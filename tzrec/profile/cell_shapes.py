"""ColumnShape: how the cells of a column are written, by its first rows: lists, weights, times, words among numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.data.null_words import is_null_word
from tzrec.data.record_scan import is_number
from tzrec.features.column_types import decode
from tzrec.profile.time_shapes import TimeShape, time_shape_of_numbers, time_shape_of_text

_MAX_VALUES = 20_000
"""Distinct values that are looked at."""
_MOST = 0.95
"""Share of the values that are written in one way from which on the column is."""
_MIN_LISTS = 0.05
"""Share of cells with several values from which on a column may hold lists."""
_SEPARATORS = ("\x1d", "\x03", "\x02", "|", ";", ",", "\t", " ")
_ITEM = re.compile(r"[\w.+#/@-]+")
"""A value of a list whose separator occurs in prose too."""
_PROSE_SEPARATORS = (",", " ")
_WEIGHTED = re.compile(r".*[^:\s]:[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_DECORATED = re.compile(r"[+-]?[$€£¥]?\s?[+-]?[0-9]{1,3}(?:[.,' ]?[0-9]{3})*(?:[.,][0-9]+)?\s?[%$€£¥]?")
_DECORATED_NOTE = (
    "looks like numbers with marks; without them (1234.5 for $1,234.50 or 1.234,50; 12 for 12%) it is a number"
)
_MIN_WORDS = 4
"""Mean number of words of a cell from which on it is a text."""


@dataclass(frozen=True)
class ColumnShape:
    """Shape of the cells of a column.

    Attributes:
        separator: between the values of a cell; "" if a cell holds one value.
        is_list: true if a row may hold several values, by its type or by a separator.
        is_nested: true for lists of lists.
        is_weighted: true for key:weight, and for maps from keys to numbers.
        time: how times are written; None if the values are none.
        is_number: true for text that is numbers but for a few words.
        is_text: true for text of several words.
        values: some of the distinct values, of all rows, as text.
        note: anything remarkable; "" if there is nothing.
    """

    separator: str = ""
    is_list: bool = False
    is_nested: bool = False
    is_weighted: bool = False
    time: TimeShape | None = None
    is_number: bool = False
    is_text: bool = False
    values: frozenset[str] = frozenset()
    note: str = ""


def cell_shapes(rows: pa.Table, names: Collection[str], missing: Collection[str] = ()) -> dict[str, ColumnShape]:
    """Tell the shape of columns.

    Args:
        rows: the first rows.
        names: columns to look at.
        missing: words for a missing value.
    """
    return {name: _shape(name, pa.chunked_array(rows.column(name)), frozenset(missing)) for name in names}


def _shape(name: str, column: pa.ChunkedArray, missing: frozenset[str]) -> ColumnShape:
    array = decode(column.combine_chunks())
    kind = array.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return ColumnShape(time=TimeShape.of_arrow(array))
    if pa.types.is_map(kind):
        if not (pa.types.is_integer(kind.item_type) or pa.types.is_floating(kind.item_type)):
            return ColumnShape()
        keys = frozenset(map(str, array.keys.slice(0, _MAX_VALUES).unique().to_pylist()))
        return ColumnShape(is_list=True, is_weighted=True, values=keys)
    if pa.types.is_list(kind):
        if pa.types.is_list(kind.value_type):
            return ColumnShape(is_list=True, is_nested=True)
        return ColumnShape(is_list=True, values=_some_values(array.flatten()))
    if pa.types.is_integer(kind):
        return ColumnShape(time=time_shape_of_numbers(name, array), values=_some_values(array))
    return _shape_of_text(name, array, missing) if pa.types.is_string(kind) else ColumnShape()


def _some_values(array: pa.Array) -> frozenset[str]:
    values = array.drop_null().unique().slice(0, _MAX_VALUES)
    return frozenset(map(str, values.to_pylist()))


def _shape_of_text(name: str, array: pa.Array, missing: frozenset[str]) -> ColumnShape:
    counts = pc.value_counts(array.drop_null())
    values, numbers = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
    count_by_cell = {
        cell: number
        for cell, number in zip(values, numbers, strict=True)
        if cell.strip() and cell not in missing and not is_null_word(cell)
    }
    cells = list(count_by_cell)[:_MAX_VALUES]
    if not cells:
        return ColumnShape()
    time = time_shape_of_text(name, cells)
    if time is not None:
        return ColumnShape(time=time)
    num_numbers = sum(map(is_number, cells))
    if num_numbers >= _MOST * len(cells):
        return ColumnShape(is_number=True, values=frozenset(cells))
    if sum(map(_is_decorated, cells)) >= _MOST * len(cells):
        return ColumnShape(values=frozenset(cells), note=_DECORATED_NOTE)
    separator = _separator(cells)
    items = [item.strip() for cell in cells for item in (cell.split(separator) if separator else [cell])]
    items = [item for item in items if item]
    is_weighted = _are_weighted(items, bool(separator))
    if separator or is_weighted:
        keys = frozenset(item.rpartition(":")[0] if is_weighted else item for item in items)
        return ColumnShape(separator, is_list=True, is_weighted=is_weighted, values=keys)
    num_words = sum(len(cell.split()) for cell in cells) / len(cells)
    return ColumnShape(is_text=num_words >= _MIN_WORDS, values=frozenset(cells), note=_variants(count_by_cell))


def _is_decorated(cell: str) -> bool:
    """True for a number with a currency, a percent sign, a comma for the point, or marks of thousands."""
    return _DECORATED.fullmatch(cell.strip()) is not None


def _separator(cells: Sequence[str]) -> str:
    """Separator of the values of cells that are lists; "" if they are none."""
    for separator in _SEPARATORS:
        lists = [cell for cell in cells if separator in cell.strip(separator)]
        if len(lists) < max(_MIN_LISTS * len(cells), 2):
            continue
        split = [[item.strip() for item in cell.split(separator) if item.strip()] for cell in cells]
        if _are_lists(split, separator):
            has_space = sum(f"{separator} " in cell for cell in lists) >= _MOST * len(lists)
            return f"{separator} " if has_space and separator != " " else separator
    return ""


def _are_lists(split: Sequence[Sequence[str]], separator: str) -> bool:
    """True if cells that a separator splits are lists: vectors of numbers, weights, or values that occur again.

    The values of lists occur in other cells as well, those of free text and of names rarely do.
    """
    items = [item for parts in split for item in parts]
    if len({len(parts) for parts in split}) == 1 and all(map(is_number, items)):
        return True
    if _are_weighted(items, True):
        return True
    counts = Counter(items)
    if separator in _PROSE_SEPARATORS and not all(_ITEM.fullmatch(item) for item in counts):
        return False
    if separator == " " and not all(any(letter.isdigit() for letter in item) for item in counts):
        return False
    again = sum(count for count in counts.values() if count > 1)
    return len(counts) < len(split) + 2 and again >= 0.5 * len(items)


def _are_weighted(items: Sequence[str], are_lists: bool) -> bool:
    """True for key:weight; 12:30 alone is a time of the day."""
    matches = sum(_WEIGHTED.fullmatch(item) is not None for item in items)
    return matches >= _MOST * len(items) and (are_lists or not items[0].partition(":")[0].isdigit())


def _variants(count_by_cell: Mapping[str, int]) -> str:
    """Describe values that differ only by case and spaces; "" if there are none."""
    spellings: dict[str, list[str]] = {}
    for cell in count_by_cell:
        spellings.setdefault(" ".join(cell.split()).casefold(), []).append(cell)
    several = [words for words in spellings.values() if len(words) > 1]
    if not several:
        return ""
    examples = sorted(max(several, key=lambda words: sum(map(count_by_cell.__getitem__, words))))[:3]
    listed = ", ".join(f'"{word}"' for word in examples)
    values = "value is" if len(several) == 1 else "values are"
    return f"{len(several)} {values} written in several ways ({listed}), each an id of its own: write them alike"
