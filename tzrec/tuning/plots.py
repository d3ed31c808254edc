"""Plots of a study as SVG text: parallel coordinates of its trials, and its progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

from tzrec.report.chart import Axis, ticks
from tzrec.tuning.records import TrialRecord
from tzrec.tuning.settings import TuneSettings
from tzrec.tuning.space import Parameter, Value, shorten

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 56, 46, 30
_WORST, _BEST = (0x9A, 0xA5, 0xB1), (0x3B, 0x7D, 0xF0)
"""Colors of lines, from the worst to the best value; both are visible on white and on black."""
_MARK = "#e4572e"
"""Color of the best trial."""
_LABEL_SIZE = 12
_NAME_SIZE, _METRIC_SIZE = 18, 40
_HALO = "paint-order:stroke;stroke:Canvas;stroke-width:3px"
"""Style of labels that lines cross."""
_MIN_WIDTH, _MAX_WIDTH = 600, 1000


@dataclass(frozen=True)
class _Scale:
    """Vertical axis of a parameter or of the metric: a name, the position of a value, and labels."""

    name: str
    position: Callable[[Value], float]
    labels: Sequence[tuple[float, str]]


def parallel_coordinates(records: Sequence[TrialRecord], settings: TuneSettings, names: Sequence[str]) -> str:
    """Draw a line for each trial through its values and its metric; "" with fewer than two complete trials.

    Args:
        records: all trials; failed ones and a starting config outside of the space are left out.
        settings: of the study.
        names: parameters from left to right.
    """
    drawn = [record for record in records if record.params and record.value is not None and record.state != "failed"]
    complete = [record for record in drawn if record.is_complete]
    if len(complete) < 2:
        return ""
    parameter_by_name = {parameter.name: parameter for parameter in settings.space.parameters}
    scales = [_parameter_scale(parameter_by_name[name]) for name in names]
    metric = _metric_scale(settings.metric, complete)
    step = (_WIDTH - _LEFT - _RIGHT) / len(scales)
    places = [_LEFT + index * step for index in range(len(scales) + 1)]
    sign = 1 if settings.is_maximized else -1
    ordered = sorted(drawn, key=lambda record: (record.is_complete, sign * (record.value or 0.0)))
    lines = []
    for index, record in enumerate(ordered):
        positions = [scale.position(record.params[name]) for scale, name in zip(scales, names, strict=True)]
        positions.append(metric.position(record.value or 0.0))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, positions, strict=True))
        style = _line_style(index / max(len(ordered) - 1, 1), record is ordered[-1], record.is_complete)
        title = escape(f"trial {record.number}: {settings.metric} {record.value:.4f}  {_values(record, settings)}")
        lines.append(f'<polyline points="{points}" fill="none" {style}><title>{title}</title></polyline>')
    titles = [_title(x, _TOP - 16, "middle", scale.name, _NAME_SIZE) for scale, x in zip(scales, places, strict=False)]
    titles.append(_title(_WIDTH, _TOP - 32, "end", metric.name, _METRIC_SIZE))  # above those of its neighbors
    axes = [_axis(scale, x) for scale, x in zip([*scales, metric], places, strict=True)]
    return _svg([*lines, *axes, *titles])


def _values(record: TrialRecord, settings: TuneSettings) -> str:
    return settings.space.describe(record.params)


def _line_style(rank: float, is_best: bool, is_complete: bool) -> str:
    if is_best:
        return f'stroke="{_MARK}" stroke-width="3"'
    color = "#" + "".join(f"{round(low + rank * (high - low)):02x}" for low, high in zip(_WORST, _BEST, strict=True))
    dash = "" if is_complete else ' stroke-dasharray="3 3"'
    return f'stroke="{color}" stroke-width="1.5" stroke-opacity="0.75"{dash}'


def _parameter_scale(parameter: Parameter) -> _Scale:
    span = parameter.range
    if span is not None:
        return _number_scale(parameter.name, [span.min, span.max], parameter.is_log, "x" * parameter.config.relative)
    names = [str(value) for value in parameter.limits]
    top, bottom = _TOP + _LABEL_SIZE, _HEIGHT - _BOTTOM - _LABEL_SIZE
    place_by_name = {name: bottom - index * (bottom - top) / max(len(names) - 1, 1) for index, name in enumerate(names)}
    labels = [(place, shorten(name, _LABEL_SIZE)) for name, place in place_by_name.items()]
    return _Scale(parameter.name, lambda value: place_by_name[str(value)], labels)


def _metric_scale(metric: str, complete: Sequence[TrialRecord]) -> _Scale:
    """Scale of the complete trials; the others, which were stopped because they were worse, may be at its ends."""
    values = [record.value or 0.0 for record in complete]
    low, high = min(values), max(values)
    scale = _number_scale(metric, values, is_log=False)
    return replace(scale, position=lambda value: scale.position(min(max(float(value), low), high)))


def _number_scale(name: str, values: Sequence[float], is_log: bool, prefix: str = "") -> _Scale:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5

    def transform(value: Value) -> float:
        return math.log(float(value)) if is_log else float(value)

    axis = Axis(transform(low), transform(high), _HEIGHT - _BOTTOM, _TOP)
    if is_log:
        middle = math.sqrt(low * high)
        numbers = [low, middle, high]
    else:
        numbers = [low, *[tick for tick in ticks(low, high) if _is_apart(axis, tick, low, high)], high]
    labels = [(axis.at(transform(number)), f"{prefix}{number:.4g}") for number in numbers]
    return _Scale(name, lambda value: axis.at(transform(value)), labels)


def _is_apart(axis: Axis, tick: float, *limits: float) -> bool:
    """Return True for a tick whose label does not overlap with those of the limits."""
    return all(abs(axis.at(tick) - axis.at(limit)) > 2 * _LABEL_SIZE for limit in limits)


def _axis(scale: _Scale, x: float) -> str:
    ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"'
    line = f'<line stroke="currentColor" stroke-opacity="0.6" {ends}/>'
    labels = "".join(
        f'<text x="{x + 5:.1f}" y="{y:.1f}" dominant-baseline="middle" style="{_HALO}">{escape(text)}</text>'
        for y, text in scale.labels
    )
    return line + labels


def _title(x: float, y: float, anchor: str, name: str, max_length: int) -> str:
    text = escape(shorten(name, max_length))
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="bold">{text}</text>'


def progress_plot(records: Sequence[TrialRecord], settings: TuneSettings) -> str:
    """Draw the metric of each trial and the best one so far; "" without complete trials."""
    scored = [record for record in records if record.value is not None and record.state in ("complete", "pruned")]
    complete = [record for record in scored if record.is_complete]
    if not complete:
        return ""
    y = _metric_scale(settings.metric, complete)
    x = Axis(-0.5, max(record.number for record in records) + 0.5, _LEFT, _WIDTH - 16)
    parts, best, points = [], None, []
    for record in scored:
        assert record.value is not None
        place, height = x.at(record.number), y.position(record.value)
        if record.is_complete and (best is None or settings.is_better(record.value, best)):
            if best is not None:
                points.append(f"{place:.1f},{y.position(best):.1f}")
            best = record.value
            points.append(f"{place:.1f},{height:.1f}")
        fill = f"rgb({','.join(map(str, _BEST))})" if record.is_complete else "none"
        title = escape(f"trial {record.number}, {record.state}: {record.value:.4f}  {_values(record, settings)}")
        stroke = f'stroke="rgb({",".join(map(str, _BEST))})"'
        parts.append(
            f'<circle cx="{place:.1f}" cy="{height:.1f}" r="4" fill="{fill}" {stroke}><title>{title}</title></circle>'
        )
    assert best is not None
    points.append(f"{x.at(records[-1].number):.1f},{y.position(best):.1f}")
    line = f'<polyline points="{" ".join(points)}" fill="none" stroke="{_MARK}" stroke-width="2"/>'
    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{at:.1f}" text-anchor="end" dominant-baseline="middle">{escape(text)}</text>'
        for at, text in y.labels
    )
    numbers = "".join(
        f'<text x="{x.at(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks(0, max(records[-1].number, 1), min_step=1)
    )
    name = f'<text x="{_WIDTH - 16}" y="{_HEIGHT - 2}" text-anchor="end">trial</text>'
    return _svg([grid, line, *parts, numbers, name])


def _svg(parts: Sequence[str]) -> str:
    return scrolled(f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>')


def scrolled(content: str) -> str:
    """Keep a plot or a table legible on a narrow screen, where it can be scrolled; "" for an empty one."""
    style = f"min-width:{_MIN_WIDTH}px;max-width:{_MAX_WIDTH}px;white-space:nowrap"
    return content and f'<div class="scroll"><div style="{style}">{content}</div></div>'
