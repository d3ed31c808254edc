"""Page of a run: everything that its model directory holds about it, as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from tzrec.formatting import format_bytes, format_count, format_duration, format_value
from tzrec.report.bars import stacked_bar
from tzrec.report.chart import Points, Style, line_chart
from tzrec.report.config_fields import changed_fields, parse
from tzrec.report.inputs import bad_row_section, feature_section, gate_section, table_section
from tzrec.report.page import figure, figures, folded, note, page, table, text, tiles
from tzrec.report.quality import interval_text, quality_section, segment_section
from tzrec.report.run_files import RunFiles

_STAGES = {
    "forward": "forward pass and lookups",
    "backward": "backward pass",
    "update": "update of parameters",
    "data": "waiting for data",
    "exchange": "exchange between ranks",
    "evaluation": "evaluations",
    "save": "checkpoints",
    "log": "log",
}
_NUM_SHOWN_EVALUATIONS = 12
_LEAST_SHARE = 0.005
"""Share of the time from which on a stage is shown by itself."""


def run_page(files: RunFiles) -> str:
    """Format the report of a run."""
    facts, analysis = files.record.facts, files.analysis
    end = files.record.ends[-1] if files.record.ends else {}
    sections = {
        "Metrics": _metric_section(files),
        "Losses": _loss_section(files),
        "Quality of the scores": quality_section(analysis),
        "Segments": segment_section(analysis),
        "Features": feature_section(analysis),
        "Gates and experts": gate_section(analysis),
        "Embedding tables": table_section(facts, analysis),
        "Time": _time_section(files),
        "Bad rows and skipped steps": bad_row_section(end, files.record.skip),
        "Evaluations": _evaluation_section(files),
        "Run": _run_section(files),
        "Config": _config_section(files),
    }
    return page(files.name, sections, _summary(files))


def _summary(files: RunFiles) -> str:
    facts, end = files.record.facts, files.record.ends[-1] if files.record.ends else None
    parts = [str(facts["model"])] if facts else []
    if facts:
        parts.append(_date(facts["time"]))
        parts += [f"{facts['num_ranks']} ranks"] if facts["num_ranks"] > 1 else []
        state = "not complete" if end is None else "stopped by a signal" if end["signal"] else "complete"
        parts.append(state)
    return note("  ·  ".join(parts)) + tiles(_headline(files))


def _headline(files: RunFiles) -> dict[str, tuple[str, str]]:
    values: dict[str, tuple[str, str]] = {}
    for name in [name for name in files.metric_names if not files.is_loss(name)][:6]:
        points = files.evaluated(name)
        best = files.best(name)
        step = f"last step {points[-1][0]:,.0f}"
        if best and best[0] != points[-1][0]:
            step += f"; best {format_value(best[1])} at {best[0]:,.0f}"
        interval = _interval_of(files, name)
        values[name] = (format_value(points[-1][1]), step + (f"; 95 %: {interval}" if interval else ""))
    logs = files.record.logs
    if logs:
        rates = [log["rows_per_second"] for log in files.steady_logs]
        if rates:
            values["samples/s"] = (format_count(_median(rates)), "median of the log lines")
        last, planned = files.record.ends[-1] if files.record.ends else logs[-1], files.record.facts.get("num_steps")
        values["steps"] = (f"{last['step'] + 1:,}", f"of {planned:,}" if planned else "")
    if files.record.ends:
        seconds = sum(end["seconds"] for end in files.record.ends)
        values["duration"] = (format_duration(seconds), "with evaluations and checkpoints")
    return values


def _interval_of(files: RunFiles, name: str) -> str:
    """Interval of a metric of the last evaluation, where the analysis has the same one."""
    info = files.record.facts.get("metrics", {}).get(name)
    if not info or info["kind"].upper() not in ("AUC", "ACCURACY"):
        return ""
    intervals = files.analysis.get("tasks", {}).get(info["task"], {}).get("intervals", {})
    for key in ("AUC", "accuracy"):
        if key.upper() == info["kind"].upper() and key in intervals and _contains(intervals[key], files, name):
            return interval_text(intervals[key], 3)
    return ""


def _contains(interval: Mapping[str, float | None], files: RunFiles, name: str) -> bool:
    """True if a metric is inside of its interval. Metrics by thresholds are not where all scores are nearly equal."""
    low, high, value = interval["low"], interval["high"], files.evaluated(name)[-1][1]
    return low is not None and high is not None and low <= value <= high


def _marks(files: RunFiles, name: str = "") -> Style:
    logs = files.record.logs
    epochs = [after["step"] for before, after in zip(logs, logs[1:]) if after["epoch"] > before["epoch"]]
    saves = sorted({*(save["step"] for save in files.record.saves), *files.checkpoints})
    return Style(
        epochs=epochs if len(epochs) <= 20 else (),
        checkpoints=saves if len(saves) <= 20 else (),
        best=files.best(name) if name else None,
    )


def _metric_section(files: RunFiles) -> str:
    parts = []
    for name in [name for name in files.metric_names if not files.is_loss(name)]:
        series = {**files.evaluation_curves(name), "training batches": files.logged("metrics", name)}
        parts.append(figure(name, line_chart(_present(series), "step", _marks(files, name))))
    evaluated = set(files.metric_names)
    trained = files.record.logs[-1]["metrics"] if files.record.logs else {}
    for name in [name for name in trained if name not in evaluated]:
        series = {"training batches": files.logged("metrics", name)}
        parts.append(figure(name, line_chart(series, "step", _marks(files))))
    legend = "A ring marks the best evaluation, triangles checkpoints, dotted lines the ends of epochs."
    return figures(parts) + (note(legend) if any(parts) else "")


def _loss_section(files: RunFiles) -> str:
    trained = list(files.record.logs[0]["losses"]) if files.record.logs else []
    evaluated = [name for name in files.metric_names if files.is_loss(name)]
    parts = []
    for name in dict.fromkeys([*evaluated, *trained]):
        series = {**files.evaluation_curves(name), "training": files.logged("losses", name)}
        style = replace(_marks(files, name), is_settled=True)
        parts.append(figure(name, line_chart(_present(series), "step", style)))
    if len(trained) > 1:
        totals: Points = [
            (log["step"], sum(value or math.nan for value in log["losses"].values())) for log in files.steady_logs
        ]
        parts.append(
            figure(
                "total of the training losses",
                line_chart({"training": totals}, "step", replace(_marks(files), is_settled=True)),
            )
        )
    constant = []
    for name, rates in _learning_rates(files).items():  # one chart each: they differ by orders of magnitude
        if len({rate for _, rate in rates}) == 1:
            constant.append(f"{name} {rates[0][1]:.4g}")
            continue
        chart = line_chart({"training": rates}, "step", Style(has_zero=True))
        parts.append(figure(f"learning rate of {name}", chart))
    return figures(parts) + note(f"Constant learning rates: {', '.join(constant)}." if constant else "")


def _learning_rates(files: RunFiles) -> dict[str, Points]:
    logs = files.record.logs
    if not logs:
        return {}
    count = len(logs[0]["learning_rates"])
    names = [
        "embedding tables",
        *(f"dense parameters {n}" if count > 2 else "dense parameters" for n in range(1, count)),
    ]
    return {
        name: [(log["step"], log["learning_rates"][index]) for log in logs if len(log["learning_rates"]) == count]
        for index, name in enumerate(names)
    }


def _present(series: Mapping[str, Points]) -> dict[str, Points]:
    return {name: points for name, points in series.items() if any(math.isfinite(point[1]) for point in points)}


def _time_section(files: RunFiles) -> str:
    logs = files.steady_logs
    rates = {"samples/s": [(log["step"], log["rows_per_second"]) for log in logs]}
    parts = [figure("Throughput, samples per second", line_chart(rates, "step", Style(has_zero=True)))]
    lines = files.record.ends or logs
    seconds = lines[-1].get("stage_seconds", {}) if lines else {}
    named = {label: seconds[stage] for stage, label in _STAGES.items() if seconds.get(stage)}
    total = sum(named.values())
    if total:
        small = [label for label, value in named.items() if value < _LEAST_SHARE * total]
        other = sum(named.pop(label) for label in small)
        named |= {"other": other} if other >= _LEAST_SHARE * total else {}
        texts = {label: f"{value / total:.0%}, {value:.1f} s" for label, value in named.items()}
        remark = (
            "Time of the main thread of rank 0. Files are read and features encoded by other threads: only the time "
            "that the loop waits for them counts as waiting for data."
        )
        remark += _reader_remark(seconds)
        parts.append(figure(f"Time of the training loop, {format_duration(total)}", stacked_bar(named, texts), remark))
    return figures(parts)


def _reader_remark(seconds: Mapping[str, float]) -> str:
    read, encode = seconds.get("read", 0.0), seconds.get("encode", 0.0)
    if not read + encode:
        return ""
    share = read / (read + encode)
    return (
        f" They were busy for {read + encode:.1f} s in sum, {share:.0%} with reading ({read:.1f} s) and "
        f"{1 - share:.0%} with encoding ({encode:.1f} s)."
    )


def _evaluation_section(files: RunFiles) -> str:
    rows = [
        {
            "step": f"{line['global_step']:,}",
            **({"skipped steps": f"{line['skipped_steps']:,}"} if "skipped_steps" in line else {}),
            **{name: _exact(line[name]) if name in line else "" for name in files.metric_names},
        }
        for line in files.evaluations
    ]
    if len(rows) <= _NUM_SHOWN_EVALUATIONS:
        return table(rows)
    return table(rows[-_NUM_SHOWN_EVALUATIONS:]) + folded(f"all {len(rows)} evaluations", table(rows))


def _exact(value: float) -> str:
    return format_value(value) if abs(value) >= 1000 else f"{value:.6f}"


def _run_section(files: RunFiles) -> str:
    facts = files.record.facts
    if not facts:
        return ""
    hardware, rows, ranks = facts["hardware"], facts["num_train_rows"], facts["num_ranks"]
    per_rank = " a rank" if ranks > 1 else ""
    ends = files.record.ends
    values: dict[str, Any] = {
        "started": ", ".join(_date(start["time"]) for start in files.record.starts),
        "ended": _date(ends[-1]["time"]) if ends else "—",
        "training rows": "unknown" if rows is None else f"{rows:,}",
        "training data": facts["train_input_path"],
        "evaluation data": _evaluation_data(files),
        "batch size": f"{facts['batch_size']:,} rows" + (f" a rank, {ranks} ranks" if ranks > 1 else ""),
        "seed": facts["seed"],
        "dense parameters": f"{facts['num_dense_parameters']:,}",
        "embedding tables": f"{len(facts['tables'])}, {format_bytes(sum(entry['bytes'] for entry in facts['tables']))}",
        "peak memory of rank 0" if ranks > 1 else "peak memory": format_bytes(ends[-1]["peak_memory_bytes"])
        if ends
        else "—",
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "device": hardware["device"],
        "processor": f"{hardware['processor']}, {hardware['cores']} cores, {hardware['threads']} threads{per_rank}",
        "memory": format_bytes(hardware["memory_bytes"]),
        "machine": f"{hardware['host']}, {hardware['system']}",
    }
    return table([{"fact": name, "value of this run": str(value)} for name, value in values.items()])


def _evaluation_data(files: RunFiles) -> str:
    path = files.record.facts["eval_input_path"]
    if path == files.record.facts["train_input_path"] and "eval_split {" in files.config:
        return "rows of the training data that are not trained on (data_config.eval_split)"
    return path or "none"


def _config_section(files: RunFiles) -> str:
    if not files.config:
        return ""
    rows = changed_fields(parse(files.config))
    heading = f"{len(rows)} fields outside of features that differ from their defaults"
    return folded(heading, table(rows)) + folded("the whole config", text(files.config))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
