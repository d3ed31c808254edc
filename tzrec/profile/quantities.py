"""Kind of a column of numbers: quantities, whose order counts, or names of things, such as ids and codes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa

from tzrec.config.names import did_you_mean
from tzrec.errors import UsageError
from tzrec.profile.column_stats import ColumnStats

ID_WORD = re.compile(
    "ids?|uid|uuid|guid|pid|sku|codes?|zip|postcode|nr|no|key|hash|class|type|category|cate?|group|segment|brand|"
    "campaign|level|flag|status|state|region|zone|shop|store|user|item|product|customer|household"
)
_QUANTITY_WORD = re.compile(
    "ages?|counts?|cnt|num|qty|quantity|amounts?|amt|prices?|costs?|fees?|sum|total|balance|income|salary|wages?|spent|"
    "value|revenue|sales|gains?|loss|losses|profit|budget|days?|hours?|minutes?|seconds?|weeks?|months?|years?|duration|"
    "length|size|width|height|weight|area|volume|distance|dist|scores?|rates?|ratio|share|percent|pct|times|views|visits|"
    "orders|clicks|limit|temperature"
)
_ID = "id"
"""Word for a category of many values."""
_FEW_VALUES = 10
_TAIL = 8.0
"""Factor of the median that the 95 % quantile of amounts and counts exceeds, and that of evenly spread ids does not."""
_MIN_NEIGHBORS = 20
_SMOOTH = 0.5


class Kind(Enum):
    """Kind of a column."""

    QUANTITY = "number"
    NAME = "category"
    EITHER = "both"
    VALUES = "values"
    SEQUENCE = "sequence"
    WEIGHTS = "weights"
    TIME = "time"
    TEXT = "text"
    SKIPPED = "skip"


@dataclass(frozen=True)
class ColumnKind:
    """Kind of a column, and the evidence.

    Attributes:
        kind: of the column.
        evidence: why; "" where nothing else is possible.
    """

    kind: Kind
    evidence: str = ""


def to_kinds(text_by_column: Mapping[str, str]) -> dict[str, Kind]:
    """Convert the kinds that a user gives.

    Raises:
        UsageError: there is no such kind.
    """
    known = [*(kind.value for kind in Kind), _ID]
    for column, text in text_by_column.items():
        if text not in known:
            raise UsageError(f'column "{column}": {text!r} is not one of {", ".join(known)}{did_you_mean(text, known)}')
    return {column: Kind.NAME if text == _ID else Kind(text) for column, text in text_by_column.items()}


def kind_of(stats: ColumnStats) -> ColumnKind:
    """Tell quantities from names.

    Text and numbers with a fraction leave no choice. A whole number is judged by the words of the column's name, by the
    tail of its distribution, and by its neighbors: how often a quantity occurs changes little from one value to the
    next, as with ages, while one id says nothing about the next one.
    """
    if not stats.is_numeric:
        return ColumnKind(Kind.QUANTITY if _is_floating(stats) and stats.numbers else Kind.NAME)
    if not stats.is_whole or _is_floating(stats):
        return ColumnKind(Kind.QUANTITY)
    if stats.widths[1] > 1 or stats.distinct <= _FEW_VALUES:
        return ColumnKind(Kind.NAME)
    words = name_words(stats.name)
    for kind, pattern in ((Kind.NAME, ID_WORD), (Kind.QUANTITY, _QUANTITY_WORD)):
        hint = next(filter(pattern.fullmatch, words), "")
        if hint:
            return ColumnKind(kind, f"its name says {hint}")
    return _by_values(stats)


def _by_values(stats: ColumnStats) -> ColumnKind:
    if stats.moments.least < 0:
        return ColumnKind(Kind.QUANTITY, f"it has values below 0, down to {stats.moments.least:g}")
    median, high = stats.quantiles([0.5, 0.95])
    if high > _TAIL * max(median, 1):
        return ColumnKind(Kind.QUANTITY, f"a long tail: the median is {median:g}, and 5 % are above {high:g}")
    smoothness = neighbor_correlation(stats)
    if smoothness >= _SMOOTH:
        return ColumnKind(Kind.QUANTITY, f"neighboring values are equally frequent, correlation {smoothness:.2f}")
    if not math.isnan(smoothness):
        return ColumnKind(Kind.NAME, f"neighboring values are not equally frequent, correlation {smoothness:.2f}")
    return ColumnKind(Kind.EITHER, f"{stats.distinct:,} values from {stats.moments.least:g} to {stats.moments.most:g}")


def neighbor_correlation(stats: ColumnStats) -> float:
    """Correlation of the logarithms of how often x and x + 1 occur; nan for too few values, or equal frequencies."""
    if not stats.is_exact:
        return math.nan
    items = sorted((int(float(item.value)), item.at_least) for item in stats.top(stats.distinct))
    values, counts = np.array(items).T
    is_next = np.diff(values) == 1
    logs = np.log(counts)
    before, after = logs[:-1][is_next], logs[1:][is_next]
    if len(before) < _MIN_NEIGHBORS or before.std() == 0 or after.std() == 0:
        return math.nan
    return float(np.corrcoef(before, after)[0, 1])


def name_words(name: str) -> list[str]:
    """Words of a name in snake_case, camelCase or kebab-case, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _is_floating(stats: ColumnStats) -> bool:
    kind = stats.kind
    while pa.types.is_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_floating(kind))
