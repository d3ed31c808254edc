"""Figures of README.md and docs/benchmarks.md, generated from the files that the commands of experiments/ write.

python tools/figures_table.py            write the tables into both pages, and the plot into docs/images/speed.svg
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "bench" / "results"
SPEED = ROOT / "docs" / "images" / "speed.svg"
MARKS = "<!-- figures: begin (python tools/figures_table.py) -->", "<!-- figures: end -->"
PAGES = ("README.md", "docs/benchmarks.md")

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One row of a table of figures.

    Attributes:
        benchmark: name of the file of results.
        label: first cell; what was measured.
        value: second cell, a format of the figures by name.
        comparison: third cell, likewise.
        is_in_readme: False for a row of the full page only.
    """

    benchmark: str
    label: str
    value: str
    comparison: str = ""
    is_in_readme: bool = True

    def cells(self, figures: Figures) -> list[str]:
        """Fill the formats."""
        return [self.label, self.value.format(**figures), self.comparison.format(**figures)]


ROWS = (
    Row(
        "bench",
        "training from Parquet, FP32, samples/s",
        "{train_fp32:,.0f}",
        "a plain loop in memory: {plain_fp32:,.0f} ({train_fp32_ratio:.2f} x)",
    ),
    Row(
        "bench",
        "training from Parquet, BF16, samples/s",
        "{train_bf16:,.0f}",
        "a plain loop in memory: {plain_bf16:,.0f} ({train_bf16_ratio:.2f} x)",
    ),
    Row(
        "bench",
        "training on 2 ranks, FP32 / BF16, samples/s",
        "{train_fp32_2_ranks:,.0f} / {train_bf16_2_ranks:,.0f}",
        "on the same two cores",
        is_in_readme=False,
    ),
    Row("bench", "evaluation, samples/s", "{eval:,.0f}", "{eval_ratio:.1f} x the plain training loop", False),
    Row(
        "bench",
        "prediction from the package, samples/s",
        "{predict:,.0f}",
        "{predict_ratio:.1f} x the plain training loop",
    ),
    Row("bench", "from command to first step", "{first_step_s:.1f} s"),
    Row("bench", "training loop paused by a checkpoint", "{checkpoint_stall_s:.2f} s", is_in_readme=False),
    Row(
        "bench",
        "peak memory of training",
        "{peak_rss_gb:.2f} GB",
        "{peak_rss_gb_with_saves:.2f} GB with checkpoints during the run",
        is_in_readme=False,
    ),
    Row(
        "models",
        "DLRM on Criteo-like rows, FP32 / BF16, samples/s, from Parquet",
        "{dlrm_train_fp32:,.0f} / {dlrm_train_bf16:,.0f}",
        "a plain loop in memory: {dlrm_plain_fp32:,.0f} / {dlrm_plain_bf16:,.0f}",
        is_in_readme=False,
    ),
    Row("fg", "feature encoding, 15 text columns, one core, rows/s", "{fg_simple_rows_s:,.0f}", "", False),
    Row(
        "fg",
        "encoding alone of one request of 1 user x 200 items, 28 features with 3 sequences of 50, one core",
        "{request_ms:.1f} ms",
        is_in_readme=False,
    ),
    Row(
        "serve",
        "a whole request of 1 user x 200 items to `tzrec serve`, median / 99th percentile",
        "{p50_ms_1:.1f} / {p99_ms_1:.1f} ms",
        "TorchScript behind FastAPI: {fastapi_p50_ms_1:.1f} / {fastapi_p99_ms_1:.1f} ms",
    ),
    Row(
        "serve",
        "such requests/s, 16 connections",
        "{rate_16:.0f}",
        "FastAPI: {fastapi_rate_16:.0f}",
    ),
)


def read(benchmark: str) -> tuple[Figures, Mapping[str, str]]:
    """Read the figures of a benchmark and the circumstances of its run."""
    result = json.loads((RESULTS / f"{benchmark}.json").read_text())
    return result["figures"], result["circumstances"]


def table(is_readme: bool) -> str:
    """Write the table of figures in Markdown, with a line on the circumstances of each benchmark below."""
    lines = ["| two cores, no GPU | tzrec | for comparison |", "| --- | --- | --- |"]
    rows = [row for row in ROWS if row.is_in_readme or not is_readme]
    lines += ["| " + " | ".join(row.cells(read(row.benchmark)[0])) + " |" for row in rows]
    if not is_readme:
        lines += ["", *_circumstances(dict.fromkeys(row.benchmark for row in rows))]
    return "\n".join(lines)


def _circumstances(benchmarks: Mapping[str, None]) -> Iterator[str]:
    for benchmark in benchmarks:
        run = read(benchmark)[1]
        yield f"- `{benchmark}`: {run['date']}, torch {run['torch']}, {run['processor']}"


BARS = (
    ("train FP32", "train_fp32", "plain_fp32"),
    ("train BF16", "train_bf16", "plain_bf16"),
)
"""Groups of the plot: label, figure of tzrec, figure of the plain loop."""
_WIDTH, _LEFT, _BAR, _GAP = 720, 110, 22, 22


def plot() -> str:
    """Draw training rates beside those of a plain loop as an SVG that is legible on light and dark pages."""
    figures = read("bench")[0]
    highest = max(figures[name] for _, *names in BARS for name in names)
    scale = (_WIDTH - _LEFT - 210) / highest
    parts, y = [], 34
    for label, *names in BARS:
        parts.append(f'<text x="{_LEFT - 10}" y="{y + _BAR + 5}" text-anchor="end">{label}</text>')
        for name, color, note in zip(names, ("#2f7ed8", "#9aa5b1"), ("tzrec, from Parquet", "plain loop, in memory")):
            width = figures[name] * scale
            parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.0f}" height="{_BAR}" rx="3" fill="{color}"/>')
            parts.append(f'<text x="{_LEFT + width + 8:.0f}" y="{y + 16}">{figures[name]:,.0f}  {note}</text>')
            y += _BAR + 3
        y += _GAP
    style = "text{font:13px system-ui,sans-serif;fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#b4bdc7}}"
    title = f'<text x="{_LEFT}" y="18">samples per second, MMoE, two cores, no GPU</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img" '
        f'aria-label="training rate of tzrec beside a plain loop"><style>{style}</style>{title}{"".join(parts)}</svg>\n'
    )


def updated(page: str, text: str) -> str:
    """Return the text of a page with the table between its marks."""
    begin, end = MARKS
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n\n{table(is_readme=page == 'README.md')}\n\n{end}{tail}"


if __name__ == "__main__":
    for name in PAGES:
        path = ROOT / name
        path.write_text(updated(name, path.read_text()))
    SPEED.parent.mkdir(exist_ok=True)
    SPEED.write_text(plot())
