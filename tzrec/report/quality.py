"""Sections of a report about the scores of a model: intervals, calibration, distribution, segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tzrec.formatting import format_value
from tzrec.report.bars import histogram
from tzrec.report.chart import Style, line_chart
from tzrec.report.page import figure, figures, folded, more_text, note, table

_MAX_SEGMENT_FEATURES = 3
_LARGEST_ERROR = 0.025
_MEANS = ("mean score", "mean label")
_STATISTIC = {"binary": "AUC", "number": "RMSE", "classes": "accuracy"}
"""Kind of task -> statistic of its segments."""


def interval_text(interval: Mapping[str, float | None], decimals: int = 4) -> str:
    """Format an interval: `0.9351 to 0.9473`, `1,220 to 1,922`."""
    low, high = interval["low"], interval["high"]
    return "—" if low is None or high is None else f"{format_value(low, decimals)} to {format_value(high, decimals)}"


def quality_section(analysis: Mapping[str, Any]) -> str:
    """Format the charts of each task; "" without an analysis."""
    tasks = analysis.get("tasks", {})
    if not tasks:
        return ""
    rows = [
        {
            "task": task,
            "statistic": name,
            "value": _number(interval["value"]),
            "95 % interval": interval_text(interval),
            "rows": f"{values['num_rows']:,}",
            **_means(values, values["kind"]),
        }
        for task, values in tasks.items()
        for name, interval in values["intervals"].items()
    ]
    remark = (
        f"{analysis['num_rows']:,} evaluation rows, scored after step {analysis['step']:,}, the last one. Intervals "
        "are percentiles of 200 bootstrap samples of rows; where the rows of a user are alike they are too narrow."
    )
    charts = "".join(_task_charts(task, values) for task, values in tasks.items())
    return note(remark) + table(rows, optional=("task", *_MEANS)) + charts


def _task_charts(task: str, values: Mapping[str, Any]) -> str:
    heading = f"<h3>{task}</h3>" if task else ""
    parts = [figure("Calibration", _calibration(values), _calibration_remark(values))]
    if values["kind"] == "binary":
        parts += [
            figure("Scores of positive and negative rows", _histogram(values), "Each of both adds up to 100 %."),
            figure("Positive rows among the highest scores", _lift(values), _lift_remark(values)),
            figure("Precision and recall", _precision(values)),
        ]
    html = figures(parts)
    return heading + html if html else ""


def _calibration(values: Mapping[str, Any]) -> str:
    points = values.get("calibration", [])
    if not points:
        return ""
    whiskers = [(point["score"], point["low"], point["high"]) for point in points if "low" in point]
    high = max(max(point["score"], point["label"], point.get("high", 0.0)) for point in points)
    low = min(0.0, *(min(point["score"], point["label"]) for point in points))
    ends = (low, high * 1.05 or 1.0)
    style = Style(y_range=ends, x_range=ends, y_name="mean label", diagonal=True, whiskers=whiskers, has_values=False)
    return line_chart({"tenths of the rows": [(p["score"], p["label"]) for p in points]}, "mean score", style)


def _calibration_remark(values: Mapping[str, Any]) -> str:
    ratio = values["mean_score"] / values["mean_label"] if values["mean_label"] else None
    end = "" if ratio is None else f" The mean score is {ratio:.2f} times the mean label."
    return f"A tenth of the rows each, by rising score; on the dashed line scores are right.{end}"


def _histogram(values: Mapping[str, Any]) -> str:
    shares = values["histogram"]
    return histogram(shares["edges"], {name: shares[name] for name in ("negative", "positive")}, "score")


def _lift(values: Mapping[str, Any]) -> str:
    points = [(point["rows"], point["positives"]) for point in values["lift"]]
    style = Style((0, 1), x_range=(0, 1), y_name="share of positives", diagonal=True, has_values=False)
    return line_chart({"model": points}, "share of rows", style)


def _lift_remark(values: Mapping[str, Any]) -> str:
    tenth = min(values["lift"], key=lambda point: abs(point["rows"] - 0.1))
    lift = tenth["positives"] / tenth["rows"]
    first = f"The first tenth has {tenth['positives']:.0%} of them, a lift of {lift:.1f}."
    return f"{first} A random order follows the dashed line."


def _precision(values: Mapping[str, Any]) -> str:
    points = [(point["recall"], point["precision"]) for point in values["precision_recall"]]
    share = values["mean_label"]
    high = max([share, *(precision for _, precision in points)])
    style = Style((0, min(1.1 * high, 1.02) or 1.0), x_range=(0, 1), y_name="precision", has_values=False)
    return line_chart({"model": points, "random order": [(0.0, share), (1.0, share)]}, "recall", style)


def segment_section(analysis: Mapping[str, Any]) -> str:
    """Format the metric of each task by segments: known and new values first, then features by their spread."""
    parts = []
    for task, values in analysis.get("tasks", {}).items():
        kind = values["kind"]
        heading = f"<h3>{task}</h3>" if task else ""
        novelty = _by_feature(values["novelty"])
        ranked = _by_spread(values["segments"])
        first, rest = ranked[:_MAX_SEGMENT_FEATURES], ranked[_MAX_SEGMENT_FEATURES:]
        head = table(_segment_rows([*novelty, *first], kind), optional=_MEANS)
        more = (
            folded(more_text(len(rest), "feature"), table(_segment_rows(rest, kind), optional=_MEANS)) if rest else ""
        )
        if head:
            parts.append(f"<div>{heading}{head}{more}</div>")
    intro = note(
        "Segments with at least 20 rows of the sample, features with the widest spread first. Numbers are divided into "
        "quarters. New are ids whose embedding rows no training step has updated."
    )
    return f'{intro}<div class="columns">{"".join(parts)}</div>' if parts else ""


def _by_spread(segments: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group segments by feature, that with the largest difference of its metric first."""
    return sorted(_by_feature(segments), key=lambda rows: -_spread(rows))


def _by_feature(segments: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in segments:
        if row["value"] is not None:
            groups.setdefault(row["feature"], []).append(row)
    return list(groups.values())


def _spread(rows: Sequence[Mapping[str, Any]]) -> float:
    """Largest difference of the metric between segments in which it is known to about 0.05."""
    values = [row["value"] for row in rows if row["error"] is None or row["error"] < _LARGEST_ERROR]
    return max(values) - min(values) if len(values) > 1 else 0.0


def _segment_rows(groups: Sequence[Sequence[Mapping[str, Any]]], kind: str) -> list[dict[str, str]]:
    """Format segments by feature, with the name of a feature in its first row alone."""
    rows = []
    for group in groups:
        cells = [_segment_row(row, kind) for row in group]
        rows += [cells[0], *({**row, "feature": ""} for row in cells[1:])]
    return rows


def _segment_row(row: Mapping[str, Any], kind: str) -> dict[str, str]:
    error = f" ± {1.96 * row['error']:.3f}" if row["error"] is not None else ""
    return {
        "feature": row["feature"],
        "segment": row["segment"],
        "rows": f"{row['rows']:,}",
        _STATISTIC[kind]: f"{_number(row['value'])}{error}",
        **_means(row, kind),
    }


def _means(values: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Mean score and label; of classes, whose numbers have no order, none."""
    numbers = (None, None) if kind == "classes" else (values["mean_score"], values["mean_label"])
    return dict(zip(_MEANS, map(_number, numbers), strict=True))


def _number(value: float | None) -> str:
    return "—" if value is None else format_value(value)
