"""Column statistics and suggestions as text, JSON and an HTML report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any

from tzrec.formatting import format_columns
from tzrec.profile import hyperloglog, quantile_sketch
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.rules import Suggestion, format_distinct
from tzrec.report.page import items, page, table

_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TOP_IN_TEXT = 4
_TOP_IN_JSON = 50
_MAX_WIDTH = 60


def as_text(columns: Sequence[ColumnStats]) -> str:
    """Format a table with a line per column."""
    rows = [row(stats) for stats in columns]
    if not rows:
        return ""
    lines = [list(rows[0]), *(list(cells.values()) for cells in rows)]
    # name, type and most frequent values are text, the others numbers
    return format_columns(lines, right=range(2, len(lines[0]) - 1))


def row(stats: ColumnStats) -> dict[str, str]:
    """The cells of a column; a tilde marks an estimate."""
    numbers = dict.fromkeys(("min", "5 %", "50 %", "95 %", "max", "mean", "std"), "")
    if _is_measured(stats):
        moments = stats.moments
        values = [moments.least, *stats.quantiles([0.05, 0.5, 0.95]), moments.most, moments.mean, moments.deviation]
        numbers = {name: _number(value) for name, value in zip(numbers, values, strict=True)}
    top = [f"{_short(item.value)} {100 * item.at_least / stats.values:.3g} %" for item in stats.top(_TOP_IN_TEXT)]
    return {
        "column": stats.name,
        "type": str(stats.kind),
        "missing": f"{100 * stats.missing / max(stats.rows, 1):.3g} %",
        "distinct": format_distinct(stats).replace("about ", "~"),
        **numbers,
        "most frequent": ", ".join(top),
    }


def line(suggestion: Suggestion) -> str:
    """Format `path: old -> value (reason)`."""
    old = "not set" if suggestion.old is None else format_value(suggestion.old)
    return f"{suggestion.path}: {old} -> {format_value(suggestion.value)} ({suggestion.reason})"


def format_value(value: object) -> str:
    """Format a config value; a long list is shortened."""
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    words = [json.dumps(item, ensure_ascii=False) for item in value]
    ends = accumulate(len(word) + 2 for word in words)
    short = [word for word, end in zip(words, ends, strict=True) if end <= _MAX_WIDTH]
    return f"[{', '.join(short if len(short) == len(words) else [*short, f'... {len(words)} in all'])}]"


def as_json(
    columns: Sequence[ColumnStats],
    suggestions: Sequence[Suggestion],
    notes: Sequence[str],
    readings: Sequence[ColumnReading] = (),
) -> str:
    """Format statistics, readings, suggestions and notes, with the error bounds of all estimates."""
    bounds = {"distinct_standard_error": hyperloglog.ERROR, "quantile_rank_error": quantile_sketch.ERROR}
    content = {
        "bounds": bounds,
        "columns": [_column(stats) for stats in columns],
        "readings": [_reading(reading) for reading in readings],
        "suggestions": [asdict(item) for item in suggestions],
        "notes": list(notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_page(
    columns: Sequence[ColumnStats],
    suggestions: Sequence[Suggestion],
    notes: Sequence[str],
    readings: Sequence[ColumnReading] = (),
) -> str:
    """Format the same as one HTML file."""
    lines = [
        {
            "field": item.path,
            "old": "" if item.old is None else format_value(item.old),
            "suggested": format_value(item.value),
            "reason": item.reason,
        }
        for item in suggestions
    ]
    taken = {"Taken as": table([_reading(reading) for reading in readings], optional=("override",))} if readings else {}
    sections = taken | {
        "Columns": table([row(stats) for stats in columns]),
        "Suggestions": table(lines, optional=("old",)),
    }
    return page("tzrec init" if readings else "tzrec suggest", sections | {"Notes": items(notes)})


def _reading(reading: ColumnReading) -> dict[str, str]:
    return {
        "column": reading.name,
        "taken as": reading.taken_as,
        "because": reading.evidence,
        "override": reading.override,
    }


def _column(stats: ColumnStats) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": stats.name,
        "type": str(stats.kind),
        "rows": stats.rows,
        "missing": stats.missing,
        "values": stats.values,
        "values_per_row": list(stats.widths),
        "distinct": stats.distinct,
        "is_exact": stats.is_exact,
        "top": [asdict(item) for item in stats.top(_TOP_IN_JSON)],
    }
    if _is_measured(stats):
        moments = stats.moments
        content["numbers"] = {
            "count": stats.numbers,
            "mean": moments.mean,
            "standard_deviation": moments.deviation,
            "least": moments.least,
            "most": moments.most,
            "quantiles": dict(zip(map(str, _SHARES), stats.quantiles(_SHARES), strict=True)),
        }
    return content


def _is_measured(stats: ColumnStats) -> bool:
    """True if the numbers describe the column; false for text of which only a part is numbers."""
    return stats.numbers > 0 and (stats.is_numeric or "string" not in str(stats.kind))


def _number(value: float) -> str:
    """Format a number with four digits: `0.02`, `62.01`, `12,440`, `1.2e+16`."""
    return f"{float(f'{value:.4g}'):,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _short(word: str) -> str:
    return word if len(word) <= 20 else f"{word[:17]}..."
