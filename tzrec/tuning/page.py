"""Page of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tzrec.data.atomic import write_text
from tzrec.report.bars import bar_chart
from tzrec.report.page import page
from tzrec.tuning.records import TrialRecord
from tzrec.tuning.settings import TuneSettings


def write_page(
    path: Path, records: Sequence[TrialRecord], settings: TuneSettings, importances: Mapping[str, float]
) -> None:
    """Write the page of a study."""
    write_text(path, page(path.parent.name, {"Importance": bar_chart(importances)}))
