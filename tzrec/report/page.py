"""HTML report in a single file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tzrec.report.style import STYLE

_NUMBER = re.compile(r"(about )?[-+x~]?[\d.,:]+(e[-+]?\d+)?( ?[kMGTPE]?B| ?[kMs%])?(( ±| to| →) .*)?|nan||—")
"""Cells of a column of numbers, with units, errors, or ends of an interval."""
_LONG_TEXT = 40


def page(title: str, sections: Mapping[str, str], summary: str = "") -> str:
    """Format a report with a table of contents.

    Args:
        title: heading of the report.
        sections: heading -> HTML, as from `table`, `text` and `chart.line_chart`; empty ones are skipped.
        summary: HTML below the title.
    """
    parts = {heading: html for heading, html in sections.items() if html}
    links = (f'<a href="#{_anchor(heading)}">{escape(heading)}</a>' for heading in parts)
    contents = f'<nav aria-label="Contents">{"".join(links)}</nav>' if len(parts) > 3 else ""
    body = "".join(
        f'<section id="{_anchor(heading)}"><h2>{escape(heading)}</h2>{html}</section>'
        for heading, html in parts.items()
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    main = f"<main><header><h1>{escape(title)}</h1>{summary}</header>{contents}{body}</main>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{main}</body></html>\n'


def _anchor(heading: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in heading.lower())


def table(rows: Sequence[Mapping[str, str]], raw: Iterable[str] = (), optional: Iterable[str] = ()) -> str:
    """Format a table with the keys of the first row as header; "" without rows.

    A column of numbers is aligned to the right.

    Args:
        rows: cells by column.
        raw: columns whose cells are HTML.
        optional: columns that are left out if no row has a value in them.
    """
    if not rows:
        return ""
    raw = set(raw)
    empty = {name for name in optional if all(row.get(name, "") in ("", "—") for row in rows)}
    names = [name for name in rows[0] if name not in empty]
    kinds = {name: "" if name in raw else _kind([row.get(name, "") for row in rows]) for name in names}
    head = "".join(f"<th{kinds[name]}>{escape(name)}</th>" for name in names)
    lines = [
        "".join(f"<td{kinds[name]}>{_cell(row.get(name, ''), name in raw)}</td>" for name in names) for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(cells: Sequence[str]) -> str:
    """Attribute of the cells of a column: numbers, or texts that need some width."""
    if all(map(_NUMBER.fullmatch, cells)):
        return ' class="number"'
    return ' class="long"' if any(" " in cell and len(cell) > _LONG_TEXT for cell in cells) else ""


def _cell(content: str, is_html: bool) -> str:
    return content if is_html else _unbroken(content)


def _unbroken(content: str) -> str:
    """Escape text, and keep the sign of a percentage on the line of its number."""
    return escape(content).replace(" %", "&nbsp;%")


def items(lines: Iterable[str]) -> str:
    """Format sentences as a list; "" without any."""
    html = "".join(f"<li>{_unbroken(line)}</li>" for line in lines)
    return html and f'<ul class="items">{html}</ul>'


def text(content: str) -> str:
    """Format preformatted text, such as a config."""
    return f"<pre>{escape(content)}</pre>" if content else ""


def note(content: str) -> str:
    """Format a remark below a heading or a chart."""
    return f'<p class="note">{escape(content)}</p>' if content else ""


def figure(heading: str, html: str, remark: str = "") -> str:
    """Format a chart with its heading, and a remark below it; "" without a chart."""
    caption = f'<p class="note">{escape(remark)}</p>' if remark else ""
    return f"<figure><figcaption>{escape(heading)}</figcaption>{html}{caption}</figure>" if html else ""


def figures(parts: Iterable[str]) -> str:
    """Arrange figures side by side, as many as fit; "" without any."""
    html = "".join(parts)
    return f'<div class="figures">{html}</div>' if html else ""


def folded(heading: str, html: str) -> str:
    """Format a part that opens with a click; "" without content."""
    return f"<details><summary>{escape(heading)}</summary>{html}</details>" if html else ""


def more_text(count: int, noun: str) -> str:
    """Format the heading of the rest of a table: `1 more feature`, `12 more features`."""
    return f"{count:,} more {noun}{'s' if count != 1 else ''}"


def tiles(values: Mapping[str, tuple[str, str]]) -> str:
    """Format the most important values in a row: name -> value and remark."""
    items = (
        f"<li><span>{escape(name)}</span><b>{escape(value)}</b><small>{_unbroken(remark)}</small></li>"
        for name, (value, remark) in values.items()
    )
    return f'<ul class="tiles">{"".join(items)}</ul>'
