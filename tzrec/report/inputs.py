"""Sections of a report about the inputs of a model: features, gates, embedding tables, bad rows."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tzrec.formatting import format_bytes, format_value
from tzrec.report.bars import small_bars
from tzrec.report.page import folded, more_text, note, table

_CHANGED_PSI, _DIFFERENT_PSI = 0.1, 0.25
_METER_EM = 6.0
_NUM_ROWS = 15


def feature_section(analysis: Mapping[str, Any]) -> str:
    """Format importance and drift of each feature, the most important one first."""
    importance, drift = analysis.get("importance") or {}, {row["feature"]: row for row in analysis.get("drift", [])}
    importance = importance if importance.get("num_rows") else {}
    entries = {entry["feature"]: entry["drops"] for entry in importance.get("features", [])}
    names = [*entries, *(name for name in drift if name not in entries)]
    if not names:
        return ""
    metric = next(iter(importance.get("metrics", {})), "")
    means = {name: (drops[metric]["mean"] or 0.0) for name, drops in entries.items()} if metric else {}
    largest = max([abs(value) for value in means.values()], default=0.0) or 1.0
    rows = []
    for name in names:
        row = {"feature": name}
        if entries:
            row[f"importance, in {metric}"] = _meter(entries[name][metric], largest) if name in entries else ""
        row |= _drift_cells(drift[name]) if name in drift else {}
        rows.append(row)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    rows = [{column: row.get(column, "") for column in columns} for row in rows]
    raw = {column for column in columns if column.startswith(("importance", "distribution", "drift"))}
    remark = (
        "Importance: how much worse the metric is when the values of the feature are shuffled among "
        f"{importance.get('num_rows', 0):,} rows, mean of two permutations ± their standard deviation. Drift: "
        "population stability index of the evaluation rows (line) against those of training (bars); up to 0.1 is "
        "noise, above 0.25 a change that a model may not stand."
    )
    head = table(rows[:_NUM_ROWS], raw)
    return note(remark) + head + folded(more_text(len(rows) - _NUM_ROWS, "feature"), table(rows[_NUM_ROWS:], raw))


def _meter(drop: Mapping[str, float | None], largest: float) -> str:
    mean, spread = drop["mean"] or 0.0, drop["spread"] or 0.0
    width = max(mean, 0.0) / largest * _METER_EM
    values = [f"{value:.4f}" if largest < 1 else format_value(value) for value in (mean, spread)]
    return f'<span class="meter"><i style="width:{width:.2f}em"></i>{values[0]}<small>± {values[1]}</small></span>'


def _drift_cells(row: Mapping[str, Any]) -> dict[str, str]:
    psi = row["psi"]
    text = f"{psi:.3f}"
    if psi > _CHANGED_PSI:
        text = f'<span class="warn">{text} {"different" if psi > _DIFFERENT_PSI else "changed"}</span>'
    return {
        "drift (PSI)": text,
        "distribution": small_bars(row["train"], row["eval"]),
        "empty: training → evaluation": f"{row['train'][-1]:.1%} → {row['eval'][-1]:.1%}",
    }


def gate_section(analysis: Mapping[str, Any]) -> str:
    """Format the mean weight of each expert in each gate of a multi-task model, as a table with shades."""
    gates = analysis.get("gates", [])
    if not gates:
        return ""
    html = ""
    layers = dict.fromkeys(gate["layer"] for gate in gates)
    for layer in layers:
        rows = [
            {"gate": gate["gate"], **{f"expert {n}": _shade(weight) for n, weight in enumerate(gate["weights"], 1)}}
            for gate in gates
            if gate["layer"] == layer
        ]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        rows = [{column: row.get(column, "") for column in columns} for row in rows]
        html += f"<h3>{escape(_layer_name(layer))}</h3>" + table(rows, columns[1:])
    remark = (
        "Mean weight of each expert. A gate that gives everything to one expert does without the others; equal rows "
        "mean that the tasks share all they learn."
    )
    own = " A gate of a task lists the experts of the task, then the shared ones." if len(layers) > 1 else ""
    return note(remark + own) + html


def _layer_name(layer: str) -> str:
    """Name the path of a layer in words: `model.levels.1` is `Level 2`, `model.experts` is `Experts`."""
    *_, parent, name = ["", *layer.split(".")]
    words = f"{parent.removesuffix('s')} {int(name) + 1}" if name.isdigit() else name.replace("_", " ")
    return words.capitalize()


def _shade(weight: float) -> str:
    width = weight * _METER_EM
    return f'<span class="meter"><i style="width:{width:.2f}em"></i>{weight:.0%}</span>'


def table_section(facts: Mapping[str, Any], analysis: Mapping[str, Any]) -> str:
    """Format the embedding tables with their fill, the largest one first."""
    fills = analysis.get("tables", {})
    rows = []
    for entry in sorted(facts.get("tables", []), key=lambda entry: -entry["bytes"]):
        fill = fills.get(entry["table"], {})
        rows.append(
            {
                "table": entry["table"],
                "rows": f"{entry['rows']:,}",
                "dim": f"{entry['dim']}",
                "size": format_bytes(entry["bytes"]),
                "rows updated": f"{fill['filled']:.1%}" if fill else "—",
                "ids that share a row": f"about {fill['filled']:.0%}" if fill.get("is_hashed") else "—",
                "sharding": entry["sharding"],
                "kernel": entry["kernel"],
            }
        )
    remark = (
        "Rows updated: share of the rows that training has looked up, by the state of the optimizer (— for one without "
        "state). Ids that share a row: estimated from it for hashed features; a larger hash_bucket_size lowers it."
    )
    optional = ("rows updated", "ids that share a row")
    head = note(remark if fills else "") + table(rows[:_NUM_ROWS], optional=optional)
    return head + folded(more_text(len(rows) - _NUM_ROWS, "table"), table(rows[_NUM_ROWS:], optional=optional))


def bad_row_section(end: Mapping[str, Any], skip: Mapping[str, Any] | None) -> str:
    """Format the values that were not read and the steps that were not applied; "" without any."""
    rows = [
        {"column": name.rpartition(": ")[0], "reason": name.rpartition(": ")[2], "values": f"{count:,}"}
        for name, count in end.get("bad_rows", {}).items()
    ]
    skipped = ""
    if skip:
        plural = "s" if skip["num_steps"] > 1 else ""
        counts = f"skipped {skip['num_steps']:,} step{plural}, {skip['num_rows']:,} rows"
        skipped = note(f"{counts}, first at step {skip['first_step']:,}")
    return skipped + (table(rows) + note("A sample of them is in bad_rows.jsonl.") if rows else "")
