"""Record of a run: `metrics.jsonl` in the model directory, one JSON object per line, and its reader.

Each line has `event`, `time` (seconds since the Unix epoch) and `step`. Events, with their other fields:

- `start`: the facts of `tzrec.run.facts.RunFacts`; a resumed run adds another one, whose `step` is the last one kept.
- `log`: `epoch`, `losses`, `metrics` (of training batches), `learning_rates`, `rows_per_second`, `stage_seconds`.
- `save`: `path`, `bytes`, `waited_seconds`.
- `evaluation`: `metrics`, `num_rows`, `seconds`.
- `skip`: `num_steps` and `num_rows` so far, `first_step`.
- `end`: `signal`, `seconds`, `stage_seconds`, `peak_memory_bytes`, `bad_rows`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tzrec.storage.path import AnyPath

RECORD = "metrics.jsonl"
ANALYSIS = "analysis.json"

Event = Mapping[str, Any]


def to_line(event: str, time: float, step: int, fields: Mapping[str, Any]) -> str:
    """Format a line of the record; values that are not finite become null."""
    return to_json({"event": event, "time": round(time, 3), "step": step, **fields})


def to_json(value: Any) -> str:
    """Format a JSON value; numbers that are not finite become null."""
    return json.dumps(_finite(value), allow_nan=False)


@dataclass(frozen=True)
class RunRecord:
    """Events of a run in their order, without those of steps that a resumed run has repeated.

    Attributes:
        starts: one for each process that trained the run.
        logs, saves, evaluations, ends: by rising step.
        skip: the last one; None if no step was skipped.
    """

    starts: list[Event] = field(default_factory=list)
    logs: list[Event] = field(default_factory=list)
    saves: list[Event] = field(default_factory=list)
    evaluations: list[Event] = field(default_factory=list)
    ends: list[Event] = field(default_factory=list)
    skip: Event | None = None

    @classmethod
    def read(cls, model_dir: AnyPath) -> RunRecord:
        """Read the record of a model directory; empty without the file. Lines that were cut off are skipped."""
        path = model_dir / RECORD
        return cls.of(_events(path.read_text(errors="replace")) if path.exists() else [])

    @classmethod
    def of(cls, events: Iterator[Event] | list[Event]) -> RunRecord:
        """Sort events by their kind."""
        kept: list[Event] = []
        for event in events:
            if event["event"] == "start":
                kept = [earlier for earlier in kept if earlier["event"] == "start" or earlier["step"] <= event["step"]]
                kept = kept if event["step"] >= 0 else []
            kept.append(event)
        skips = _of_kind(kept, "skip")
        return cls(
            starts=_of_kind(kept, "start"),
            logs=_of_kind(kept, "log"),
            saves=_of_kind(kept, "save"),
            evaluations=_of_kind(kept, "evaluation"),
            ends=_of_kind(kept, "end"),
            skip=skips[-1] if skips else None,
        )

    @property
    def facts(self) -> Event:
        """Facts of the last process that trained the run; empty without any."""
        return self.starts[-1] if self.starts else {}


def _of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


def _events(text: str) -> Iterator[Event]:
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("event"), str) and isinstance(value.get("step"), int):
            yield value


def _finite(value: Any) -> Any:
    """Copy a JSON value with null in place of numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
