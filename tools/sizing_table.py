"""Table of processors in docs/deployment.md, from the last line of `make bench-serve`.

make bench-serve | tail -1 > figures.json
python tools/sizing_table.py figures.json    write the table into docs/deployment.md
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "deployment.md"
BEGIN, END = "<!-- sizing: begin (python tools/sizing_table.py figures.json) -->", "<!-- sizing: end -->"
RATES = (100, 500, 1000, 5000)
UTILIZATION = 0.6
"""Share of the processors that a server should use: the rest keeps the tails flat, and the autoscaler keeps it."""


def num_cpus(rate: float, cpu_ms: float) -> int:
    """Processors for a number of requests a second that take some milliseconds of processor time each."""
    return math.ceil(rate * cpu_ms / 1000 / UTILIZATION)


def table(figures: Mapping[str, float]) -> str:
    """Write the table in Markdown.

    Args:
        figures: of `make bench-serve`: cpu_ms_C, p50_ms_C and p99_ms_C at C connections, and max_rate.
    """
    lines = ["| one user, 200 items | 1 connection | 4 connections | 16 connections |", "|---|---|---|---|"]
    for text, key in (("median", "p50_ms"), ("99th percentile", "p99_ms"), ("processor time", "cpu_ms")):
        cells = " | ".join(f"{figures[f'{key}_{connections}']:.1f} ms" for connections in (1, 4, 16))
        lines.append(f"| {text} | {cells} |")
    lines += ["", "| requests/s | processors |", "|---|---|"]
    lines += [f"| {rate:,} | {num_cpus(rate, figures['cpu_ms_16'])} |" for rate in RATES]
    lines += ["", f"The highest rate with a 99th percentile below 50 ms was {figures['max_rate']:.0f} requests/s."]
    return "\n".join(lines)


def updated(text: str, figures: Mapping[str, float]) -> str:
    """Return the page with the table of some figures."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"{PAGE} has no table"
    return f"{before}{begin}\n\n{table(figures)}\n\n{end}{after}"


def main() -> None:
    """Write the table of a file of figures into the page."""
    figures = json.loads(Path(sys.argv[1]).read_text().splitlines()[-1])
    PAGE.write_text(updated(PAGE.read_text(), figures))


if __name__ == "__main__":
    main()
