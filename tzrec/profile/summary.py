"""What was found out and what is proposed, as text, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any

from tzrec.profile import hyperloglog, quantile_sketch
from tzrec.profile.choices import counted
from tzrec.profile.column import ColumnStats
from tzrec.profile.suggestions import Suggestion
from tzrec.report.page import page, table

_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_SHOWN = 4
_KEPT = 50
_WIDEST = 60


def as_text(columns: Sequence[ColumnStats]) -> str:
    """A line per column, under a head."""
    rows = [row(each) for each in columns]
    if not rows:
        return ""
    lines = [list(rows[0]), *(list(each.values()) for each in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    last = len(widths) - 1  # the most frequent values are text, all between it and the type numbers
    aligned = [
        "  ".join(
            cell.ljust(width) if at in (0, 1, last) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(aligned)


def row(stats: ColumnStats) -> dict[str, str]:
    """The cells of a column's line; a tilde marks what is estimated."""
    numbers = dict.fromkeys(("least", "5 %", "50 %", "95 %", "most", "mean", "deviation"), "")
    if _is_measured(stats):
        moments = stats.moments
        found = [moments.least, *stats.quantiles([0.05, 0.5, 0.95]), moments.most, moments.mean, moments.deviation]
        numbers = {name: f"{value:.4g}" for name, value in zip(numbers, found, strict=True)}
    often = [f"{_short(each.value)} {100 * each.at_least / stats.values:.3g} %" for each in stats.top(_SHOWN)]
    return {
        "column": stats.name,
        "type": str(stats.kind),
        "missing": f"{100 * stats.missing / max(stats.rows, 1):.3g} %",
        "distinct": counted(stats).replace("about ", "~"),
        **numbers,
        "most frequent": ", ".join(often),
    }


def line(proposal: Suggestion) -> str:
    """`path: old -> new (why)`."""
    old = "not set" if proposal.old is None else shown(proposal.old)
    return f"{proposal.path}: {old} -> {shown(proposal.new)} ({proposal.why})"


def shown(value: object) -> str:
    """A value of the config in few words."""
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    words = [json.dumps(each, ensure_ascii=False) for each in value]
    ends = accumulate(len(word) + 2 for word in words)
    fit = [word for word, end in zip(words, ends, strict=True) if end <= _WIDEST]
    return f"[{', '.join(fit if len(fit) == len(words) else [*fit, f'... {len(words)} in all'])}]"


def as_json(columns: Sequence[ColumnStats], proposals: Sequence[Suggestion], notes: Sequence[str]) -> str:
    """Everything, with the bounds of all estimates."""
    bounds = {"distinct_standard_error": hyperloglog.ERROR, "quantile_rank_error": quantile_sketch.ERROR}
    content = {
        "bounds": bounds,
        "columns": [_column(each) for each in columns],
        "proposals": [asdict(each) for each in proposals],
        "notes": list(notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_page(columns: Sequence[ColumnStats], proposals: Sequence[Suggestion], notes: Sequence[str]) -> str:
    """One HTML file."""
    lines = [
        {
            "field": each.path,
            "now": "" if each.old is None else shown(each.old),
            "proposed": shown(each.new),
            "why": each.why,
        }
        for each in proposals
    ]
    sections = {"Columns": table([row(each) for each in columns]), "Proposals": table(lines)}
    return page("tzrec fit", sections | {"Notes": table([{"note": each} for each in notes])})


def _column(stats: ColumnStats) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": stats.name,
        "type": str(stats.kind),
        "rows": stats.rows,
        "missing": stats.missing,
        "values": stats.values,
        "values_per_row": list(stats.widths),
        "distinct": stats.distinct,
        "is_exact": stats.is_exact,
        "top": [asdict(each) for each in stats.top(_KEPT)],
    }
    if _is_measured(stats):
        moments = stats.moments
        found["numbers"] = {
            "count": stats.numbers,
            "mean": moments.mean,
            "standard_deviation": moments.deviation,
            "least": moments.least,
            "most": moments.most,
            "quantiles": dict(zip(map(str, _SHARES), stats.quantiles(_SHARES), strict=True)),
        }
    return found


def _is_measured(stats: ColumnStats) -> bool:
    """Whether its numbers say something: text of which only a part is numbers does not."""
    return stats.numbers > 0 and (stats.is_numeric or "string" not in str(stats.kind))


def _short(word: str) -> str:
    return word if len(word) <= 20 else f"{word[:17]}..."
