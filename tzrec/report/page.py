"""HTML report in a single file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tzrec.report.style import STYLE


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


def table(rows: Sequence[Mapping[str, str]], raw: Iterable[str] = ()) -> str:
    """Format a table with the keys of the first row as header; "" without rows.

    A column of numbers is aligned to the right.

    Args:
        rows: cells by column.
        raw: columns whose cells are HTML.
    """
    if not rows:
        return ""
    raw = set(raw)
    numeric = {name for name in rows[0] if name not in raw and all(_is_number(row.get(name, "")) for row in rows)}
    head = "".join(f"<th{_class(name in numeric)}>{escape(name)}</th>" for name in rows[0])
    lines = [
        "".join(
            f"<td{_class(name in numeric)}>{row.get(name, '') if name in raw else escape(row.get(name, ''))}</td>"
            for name in rows[0]
        )
        for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _class(is_numeric: bool) -> str:
    return ' class="number"' if is_numeric else ""


def _is_number(text: str) -> bool:
    return not text or text[0] in "+-0123456789" or text in ("nan", "—")


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


def tiles(values: Mapping[str, tuple[str, str]]) -> str:
    """Format the most important values in a row: name -> value and remark."""
    items = (
        f"<li><span>{escape(name)}</span><b>{escape(value)}</b><small>{escape(remark)}</small></li>"
        for name, (value, remark) in values.items()
    )
    return f'<ul class="tiles">{"".join(items)}</ul>'
