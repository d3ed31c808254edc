"""Tables and a plot of figures, from the files that the commands of experiments write.

python tools/figures_table.py            draw docs/images/speed.svg

The tables are blocks of tools/generated_blocks.py.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SPEED = Path(__file__).parents[1] / "docs" / "images" / "speed.svg"
NEAR = 0.01
"""Difference to gradient boosting that a first model may have."""

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One row of the table of benchmarks.

    Attributes:
        benchmark: name of the file of results.
        label: first cell: what was measured.
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
        "peers",
        "training of DeepFM, FP32, samples/s",
        "{tzrec:,.0f}, from Parquet",
        "DeepCTR-Torch, all rows in memory: {deepctr:,.0f} ({deepctr_ratio:.1f} x)",
    ),
    Row(
        "bench",
        "training on 2 ranks, FP32 / BF16, samples/s",
        "{train_fp32_2_ranks:,.0f} / {train_bf16_2_ranks:,.0f}",
        "on the same two cores",
        is_in_readme=False,
    ),
    Row(
        "bench",
        "most that matrix products alone allow, FP32 / BF16, samples/s",
        "{limit_fp32:,.0f} / {limit_bf16:,.0f}",
        is_in_readme=False,
    ),
    Row("bench", "evaluation, samples/s", "{eval:,.0f}", "{eval_ratio:.1f} x as many as the plain loop trains", False),
    Row(
        "bench",
        "prediction from the package, samples/s",
        "{predict:,.0f}",
        "{predict_ratio:.1f} x as many as the plain loop trains",
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
        "FastAPI: {fastapi_rate_16:.0f}; Triton: {triton_rate_16:.0f}",
    ),
)


def read(benchmark: str) -> tuple[Figures, Mapping[str, str]]:
    """Read the figures of a benchmark and the circumstances of its run."""
    result = json.loads((EXPERIMENTS / "bench" / "results" / f"{benchmark}.json").read_text())
    return result["figures"], result["circumstances"]


def figures_of_readme() -> str:
    """Write the most important figures of speed, and a line on those of quality."""
    return f"{_benchmarks(row for row in ROWS if row.is_in_readme)}\n\n{first_models_in_words()}"


def figures() -> str:
    """Write all figures of speed, with the circumstances of each benchmark, and those of quality."""
    lines = [_benchmarks(ROWS), "", *_circumstances(dict.fromkeys(row.benchmark for row in ROWS))]
    return "\n".join([*lines, "", census()])


def _benchmarks(rows: Iterable[Row]) -> str:
    head = ["two cores, no GPU", "tzrec", "for comparison"]
    return markdown_table([head, *(row.cells(read(row.benchmark)[0]) for row in rows)])


def _circumstances(benchmarks: Iterable[str]) -> Iterator[str]:
    for benchmark in benchmarks:
        run = read(benchmark)[1]
        yield f"- `{benchmark}`: {run['date']}, torch {run['torch']}, {run['processor']}"


def census() -> str:
    """Write the mean AUC of each model on Census-Income over its seeds."""
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in json.loads((EXPERIMENTS / "census_income" / "results.json").read_text()):
        for task in ("income", "never_married"):
            values[run["setting"].upper(), run["model"]][task].append(run[f"auc_{task}"])
    rows = [
        [f"Census-Income {setting}", model, *(f"{statistics.mean(auc[task]):.4f}" for task in auc)]
        for (setting, model), auc in sorted(values.items())
    ]
    return markdown_table([["data", "model", "AUC of income", "AUC of never married"], *rows])


def comparison() -> str:
    """Write in a sentence what was measured of another project."""
    rates = read("peers")[0]
    return (
        "Of the other projects the table below says what their documentation says. Measured here was only training of "
        f"DeepFM:\n{rates['tzrec']:,.0f} samples/s from Parquet, beside {rates['deepctr']:,.0f} of DeepCTR-Torch with "
        f"all rows in memory ({rates['deepctr_ratio']:.1f} x)."
    )


def first_models() -> str:
    """Write what first models reach beside gradient boosting, a row for each table and label."""
    head = ["table", "label", "measure", "first model", "tuned", "boosting", "difference", "tuned, difference"]
    return markdown_table([head, *map(_first_model_cells, _first_models())])


def _first_models() -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads((EXPERIMENTS / "first_model" / "results.json").read_text())
    return results


def _first_model_cells(line: Mapping[str, Any]) -> list[str]:
    ours = [line["first_model"], line.get("tuned")]
    values = [f"{value:.4f}" if value is not None else "-" for value in (*ours, line["boosting"])]
    differences = [f"{value - line['boosting']:+.4f}" if value is not None else "-" for value in ours]
    return [line["table"], line["label"], line["metric"], *values, *differences]


def first_models_in_words() -> str:
    """Count the first models that are near gradient boosting or ahead of it."""
    lines = _first_models()
    gains = [line["first_model"] - line["boosting"] for line in lines]
    # figures have four digits, so that a difference of exactly 0.01 may be a little more in binary
    near, ahead = sum(gain > -NEAR - 1e-9 for gain in gains), sum(gain > 0 for gain in gains)
    return (
        f"First models, that is `tzrec init` and `tzrec train` with nothing edited, on {len(lines)} labels of "
        f"{len({line['table'] for line in lines})} public tables:\n{near} are within {NEAR} of gradient boosting or "
        f"ahead of it ({ahead}): [first models](experiments/first_model/README.md)."
    )


_PLAIN = "plain loop, in memory"
BARS = (
    ("MMoE, FP32", "bench", "train_fp32", "plain_fp32", _PLAIN),
    ("MMoE, BF16", "bench", "train_bf16", "plain_bf16", _PLAIN),
    ("DLRM, FP32", "models", "dlrm_train_fp32", "dlrm_plain_fp32", _PLAIN),
    ("DLRM, BF16", "models", "dlrm_train_bf16", "dlrm_plain_bf16", _PLAIN),
    ("DeepFM, FP32", "peers", "tzrec", "deepctr", "DeepCTR-Torch, in memory"),
)
"""Groups of the plot: label, benchmark, figure of tzrec, figure beside it, and what that is of."""
_WIDTH, _TEXT, _BAR, _GAP = 460, 208, 18, 12
"""Width of the plot, of the texts right of the longest bar, of a bar, and between groups: legible on a phone too."""


def plot() -> str:
    """Draw training rates beside those of others as an SVG that is legible on light and dark pages."""
    bars = [(label, read(name)[0], figures, note) for label, name, *figures, note in BARS]
    scale = (_WIDTH - _TEXT) / max(values[name] for _, values, figures, _ in bars for name in figures)
    parts, y = [], 30
    for label, values, figures, note in bars:
        parts.append(f'<text x="0" y="{y + 12}" style="font-weight:600">{label}</text>')
        y += 18
        for name, color, text in zip(figures, ("#2f7ed8", "#9aa5b1"), ("tzrec, from Parquet", note), strict=True):
            width = values[name] * scale
            parts.append(f'<rect x="0" y="{y}" width="{width:.0f}" height="{_BAR}" rx="3" fill="{color}"/>')
            parts.append(f'<text x="{width + 6:.0f}" y="{y + 14}">{values[name]:,.0f}  {text}</text>')
            y += _BAR + 3
        y += _GAP
    style = "text{font:13px system-ui,sans-serif;fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#b4bdc7}}"
    title = '<text x="0" y="16">samples of training per second, two cores, no GPU</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="600" role="img" '
        f'aria-label="training rates of tzrec beside plain loops and DeepCTR-Torch"><style>{style}</style>{title}'
        f"{''.join(parts)}</svg>\n"
    )


def main() -> None:
    """Write the plot."""
    SPEED.write_text(plot())


if __name__ == "__main__":
    main()
