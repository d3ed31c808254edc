"""Measures of retrieved items, and the file of results."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

RESULTS = Path(__file__).parent / "results.json"
DEPTHS = (10, 100)
SETS = {
    "movietweetings_100k": "MovieTweetings",
    "online_retail": "Online Retail",
    "complete_journey": "Complete Journey",
}

Row = dict[str, Any]
"""A run: set, method, seed, setting, and its measures on the test requests."""


def measure(retrieved: np.ndarray, truth: pa.ChunkedArray) -> dict[str, float]:
    """Recall and hit rate at DEPTHS.

    Args:
        retrieved: items of requests, the best first, `(R, 100)`.
        truth: lists of the items that are right, each not empty, `(R,)`.

    Returns:
        `recall@k`, the mean share of the right items of a request among its first k, and `hit@k`, the share of requests
        with at least one.
    """
    shares: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    for items, right in zip(retrieved, truth.to_pylist()):
        is_right = np.isin(items, right)
        for depth in DEPTHS:
            shares[depth].append(is_right[:depth].sum() / len(right))
    names = {f"recall@{depth}": float(np.mean(values)) for depth, values in shares.items()}
    return names | {f"hit@{depth}": float(np.mean(np.array(values) > 0)) for depth, values in shares.items()}


def load_results() -> list[Row]:
    """Rows of results.json; none if it does not exist."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def save_result(row: Row) -> None:
    """Replace or append the row of one run."""
    key = ("set", "method", "seed")
    rows = [other for other in load_results() if any(other[name] != row[name] for name in key)]
    rows = sorted([*rows, row], key=lambda item: (list(SETS).index(item["set"]), item["method"], item["seed"]))
    RESULTS.write_text("[\n" + ",\n".join(" " + json.dumps(item) for item in rows) + "\n]\n")


def table(rows: list[Row]) -> str:
    """The figures as Markdown: mean and standard deviation over the seeds."""
    measures = [f"{name}@{depth}" for name in ("recall", "hit") for depth in DEPTHS]
    lines = [f"| set | method | seeds | {' | '.join(measures)} |", "|---" * (3 + len(measures)) + "|"]
    for name, title in SETS.items():
        methods = dict.fromkeys(row["method"] for row in rows if row["set"] == name)
        for method in methods:
            runs = [row for row in rows if (row["set"], row["method"]) == (name, method)]
            cells = [_cell([run[measure] for run in runs]) for measure in measures]
            lines.append(f"| {title} | {method} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"
