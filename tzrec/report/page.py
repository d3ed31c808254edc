"""HTML report in a single file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; }
.grid { stroke: currentColor; opacity: .15; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .2rem 0; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
td { font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; font-size: 12px; line-height: 1.35; }
"""


def page(title: str, sections: Mapping[str, str]) -> str:
    """Format a report.

    Args:
        title: heading of the report.
        sections: heading -> HTML, as from `table`, `text` and `chart.line_chart`; empty ones are skipped.
    """
    body = "".join(f"<h2>{escape(heading)}</h2>{html}" for heading, html in sections.items() if html)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>\n'


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Format a table with the keys of the first row as header; "" without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    lines = ["".join(f"<td>{escape(value)}</td>" for value in row.values()) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def text(content: str) -> str:
    """Format preformatted text, such as a config."""
    return f"<pre>{escape(content)}</pre>" if content else ""
