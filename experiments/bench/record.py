"""Figures of a benchmark, printed as the last line of its output and kept in results/<benchmark>.json."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tzrec.run.matmul import Processor

RESULTS = Path(__file__).parent / "results"


def record(benchmark: str, figures: Mapping[str, float]) -> None:
    """Print the figures as a line of JSON, and write them with the date, the processor and the release of torch."""
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps(rounded))
    RESULTS.mkdir(exist_ok=True)
    circumstances = {
        "date": str(datetime.date.today()),
        "processor": str(Processor.read()),
        "torch": version("torch"),
    }
    text = json.dumps({"circumstances": circumstances, "figures": rounded}, indent=2)
    (RESULTS / f"{benchmark}.json").write_text(text + "\n")
