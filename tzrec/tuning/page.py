"""Page of a study: its best config, plots of its trials, and their table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from tzrec.data.atomic import write_text
from tzrec.formatting import format_duration
from tzrec.report.bars import bar_chart
from tzrec.report.page import page, table, text
from tzrec.tuning.plots import parallel_coordinates, progress_plot, scrolled
from tzrec.tuning.records import MIN_TRIALS, TrialRecord, ranked
from tzrec.tuning.settings import TuneSettings

_COLORS_TEXT = (
    "Each line is a trial, from left to right through its values to its metric: the bluer the better, the best one "
    "red, pruned ones dashed. Factors of the starting config begin with x. The last axis is that of complete trials."
)
_IMPORTANCE_TEXT = "Share of each parameter in the differences between good and other trials (PED-ANOVA)."
_PROGRESS_TEXT = (
    "The metric of each trial, of pruned ones (rings) when they were stopped, and the best so far. The axis is that of "
    "complete trials: worse ones are at its end."
)


def write_page(
    path: Path, records: Sequence[TrialRecord], settings: TuneSettings, importances: Mapping[str, float]
) -> None:
    """Write the page of a study.

    Args:
        path: of the page.
        records: all trials by number.
        settings: of the study.
        importances: share of each parameter, the largest first; empty if there are too few trials.
    """
    names = [parameter.name for parameter in settings.space.parameters]
    by_importance = sorted(names, key=lambda name: -importances.get(name, 0.0))
    missing = f"It is estimated from {MIN_TRIALS} complete trials on."
    sections = {
        "Result": _result(records, settings),
        "Trials": _captioned(parallel_coordinates(records, settings, by_importance), _COLORS_TEXT),
        "Importance of the parameters": _captioned(bar_chart(importances), _IMPORTANCE_TEXT) or _paragraph(missing),
        "Progress": _captioned(progress_plot(records, settings), _PROGRESS_TEXT),
        "Table": scrolled(table(_rows(records, settings))),
        "Space": text("\n".join(f"{item.name}: {item.describe()}" for item in settings.space.parameters)),
    }
    write_text(path, page(f"Study of {settings.metric}", sections))


def _paragraph(content: str) -> str:
    return f"<p>{escape(content)}</p>"


def _captioned(plot: str, caption: str) -> str:
    return plot and plot + _paragraph(caption)


def _result(records: Sequence[TrialRecord], settings: TuneSettings) -> str:
    """Describe the best trial and its gain, and count the trials."""
    counts = Counter(record.state for record in records)
    lines = [f"{len(records)} trials: {', '.join(f'{count} {state}' for state, count in counts.items())}."]
    best = next(iter(ranked(records, settings.is_maximized)), None)
    start = next((record for record in records if record.number == 0 and record.is_complete), None)
    if best is not None and best.value is not None:
        values = settings.space.describe(best.params).replace("  ", ", ") or "the starting config"
        lines.insert(0, f"Best: trial {best.number} with {settings.metric} {best.value:.4f}: {values}.")
        if start is not None and start.value is not None:
            change = best.value - start.value
            lines.insert(1, f"The starting config has {start.value:.4f} on the same rows: {change:+.4f}.")
    return "".join(map(_paragraph, lines))


def _rows(records: Sequence[TrialRecord], settings: TuneSettings) -> list[dict[str, str]]:
    best_first = ranked(records, settings.is_maximized)
    rest = [record for record in records if record not in best_first]
    return [
        {
            "trial": str(record.number),
            settings.metric: "" if record.value is None else f"{record.value:.4f}",
            **{
                parameter.name: settings.space.value_text(parameter.name, record.params)
                for parameter in settings.space.parameters
            },
            "time": format_duration(record.seconds),
            "state": f"{record.state}: {record.error}" if record.error else record.state,
        }
        for record in [*best_first, *rest]
    ]
