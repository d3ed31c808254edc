"""Page that compares runs: results, curves, costs and the fields in which their configs differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tzrec.formatting import format_bytes, format_count, format_duration, format_value
from tzrec.report.chart import Points, Style, line_chart
from tzrec.report.config_fields import differences, parse
from tzrec.report.page import figure, figures, note, page, table
from tzrec.report.quality import interval_text
from tzrec.report.run_files import RunFiles


def compare_page(runs: Sequence[RunFiles]) -> str:
    """Format a page that compares at least two runs; names of directories that are equal are numbered."""
    names = _names(runs)
    sections = {
        "Results": _results(runs, names),
        "Intervals": _intervals(runs, names),
        "Metrics": _curves(runs, names, is_loss=False),
        "Losses on the evaluation data": _curves(runs, names, is_loss=True),
        "Training": _training_curves(runs, names),
        "Cost": _costs(runs, names),
        "Config": _config(runs, names),
    }
    return page(f"Comparison of {len(runs)} runs", sections, note(", ".join(names)))


def _names(runs: Sequence[RunFiles]) -> list[str]:
    names = [run.name for run in runs]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


def _metric_names(runs: Sequence[RunFiles]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.metric_names))


def _results(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    """Table of the last and the best value of each metric; the best run of a row is marked."""
    rows = []
    for metric in _metric_names(runs):
        finals = [_last(run.evaluated(metric)) for run in runs]
        direction = next(
            (run.is_larger_better(metric) for run in runs if run.is_larger_better(metric) is not None), None
        )
        finite = [value for value in finals if math.isfinite(value)]
        winner = None if direction is None or not finite else max(finite) if direction else min(finite)
        cells = {}
        for name, run, value in zip(names, runs, finals, strict=True):
            best = run.best(metric)
            text = "—" if math.isnan(value) else format_value(value)
            text = f"<b>{text} ✓</b>" if value == winner else text
            cells[name] = text + (f" <small>best {format_value(best[1])} at {best[0]:,.0f}</small>" if best else "")
        rows.append({"metric": metric, **cells})
    remark = "Last evaluation of each run, with the best one of its evaluations; ✓ marks the best run of a row."
    if len({run.eval_data for run in runs if run.eval_data}) > 1:
        remark += " The runs have read different files to evaluate, or other rows of them: are the rows the same?"
    return table(rows, names) + note(remark) if rows else ""


def _last(points: Points) -> float:
    return points[-1][1] if points else math.nan


def _intervals(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    rows = [
        {
            "task": task,
            "run": name,
            "statistic": statistic,
            "value": "—" if interval["value"] is None else format_value(interval["value"]),
            "95 % interval": interval_text(interval),
            "mean score / mean label": f"{values['mean_score'] / values['mean_label']:.3f}"
            if values["mean_label"]
            else "—",
        }
        for task in dict.fromkeys(task for run in runs for task in run.analysis.get("tasks", {}))
        for name, run in zip(names, runs, strict=True)
        for values in [run.analysis.get("tasks", {}).get(task)]
        if values
        for statistic, interval in values["intervals"].items()
    ]
    remark = (
        "On the sample of evaluation rows of each run. Runs that are evaluated on the same rows differ by less than "
        "these intervals suggest: their errors are alike."
    )
    return table(rows) + note(remark) if rows else ""


def _curves(runs: Sequence[RunFiles], names: Sequence[str], is_loss: bool) -> str:
    parts = []
    for metric in [metric for metric in _metric_names(runs) if any(run.is_loss(metric) for run in runs) == is_loss]:
        series = {name: run.evaluated(metric) for name, run in zip(names, runs, strict=True)}
        parts.append(figure(metric, line_chart(_present(series), "step")))
    return figures(parts)


def _training_curves(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    losses = dict.fromkeys(loss for run in runs for log in run.record.logs[:1] for loss in log["losses"])
    parts = []
    for loss in losses:
        series = {name: run.logged("losses", loss) for name, run in zip(names, runs, strict=True)}
        parts.append(figure(f"{loss} in training", line_chart(_present(series), "step", Style(is_settled=True))))
    rates = {
        name: [(log["step"], log["rows_per_second"]) for log in run.steady_logs]
        for name, run in zip(names, runs, strict=True)
    }
    parts.append(figure("Throughput, samples per second", line_chart(_present(rates), "step", Style(has_zero=True))))
    return figures(parts)


def _present(series: Mapping[str, Points]) -> dict[str, Points]:
    return {name: points for name, points in series.items() if points}


def _costs(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    rows = []
    for name, run in zip(names, runs, strict=True):
        facts, ends = run.record.facts, run.record.ends
        if not facts:
            continue
        rates = sorted(log["rows_per_second"] for log in run.steady_logs)
        rows.append(
            {
                "run": name,
                "model": facts["model"],
                "steps": f"{ends[-1]['step'] + 1:,}" if ends else "—",
                "duration": format_duration(sum(end["seconds"] for end in ends)) if ends else "—",
                "samples/s": format_count(rates[len(rates) // 2]) if rates else "—",
                "dense parameters": f"{facts['num_dense_parameters']:,}",
                "tables": format_bytes(sum(entry["bytes"] for entry in facts["tables"])),
                "peak memory": format_bytes(ends[-1]["peak_memory_bytes"]) if ends else "—",
                "seed": str(facts["seed"]),
                "tzrec": facts["versions"].get("tzrec", "—"),
                "torch": facts["versions"].get("torch", "—"),
            }
        )
    return table(rows)


def _config(runs: Sequence[RunFiles], names: Sequence[str]) -> str:
    """Table of the fields in which the configs differ, but for model_dir."""
    if not all(run.config for run in runs):
        return ""
    rows = [
        {"field": path, **dict(zip(names, values, strict=True))}
        for path, values in differences([parse(run.config) for run in runs])
        if path != "model_dir"
    ]
    return table(rows) if rows else note("No field differs, but for model_dir.")
