"""RunFiles: what a model directory holds about a run, as a report reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tzrec.checkpoint.store import EVAL_DATA, RESULTS, comparable, list_checkpoints, metric_values, read_results
from tzrec.errors import UsageError
from tzrec.report.chart import Points
from tzrec.report.record import ANALYSIS, RunRecord
from tzrec.storage.path import AnyPath

CONFIG = "pipeline.config"
_COUNTS = ("global_step", "skipped_steps")


@dataclass(frozen=True)
class RunFiles:
    """Record, evaluations, analysis and config of a run.

    Attributes:
        name: name of the directory.
        record: events of the run.
        evaluations: results by name, with `global_step`, by rising step; nan for an undefined metric.
        first_comparable: step of the first of the last evaluations on the same rows.
        eval_data: digest of these rows; "" if it is unknown.
        analysis: content of `analysis.json`, {} without it.
        config: text of the resolved config, "" without it.
        checkpoints: steps of the checkpoints that exist.
    """

    name: str
    record: RunRecord
    evaluations: list[dict[str, float]]
    first_comparable: int
    eval_data: str
    analysis: Mapping[str, Any]
    config: str
    checkpoints: list[int]

    @classmethod
    def read(cls, model_dir: AnyPath) -> RunFiles:
        """Read the files that exist."""
        by_step = {line["global_step"]: line for line in read_results(model_dir / RESULTS)}  # the last of a step counts
        lines = [line for _, line in sorted(by_step.items())]
        alike = comparable(lines)
        config = model_dir / CONFIG
        return cls(
            name=model_dir.name,
            record=RunRecord.read(model_dir),
            evaluations=[metric_values(line) for line in lines],
            first_comparable=alike[0]["global_step"] if alike else 0,
            eval_data=alike[-1].get(EVAL_DATA, "") if alike else "",
            analysis=_read_analysis(model_dir / ANALYSIS),
            config=config.read_text() if config.exists() else "",
            checkpoints=[int(path.name.rpartition("-")[2]) for path in list_checkpoints(model_dir)],
        )

    @classmethod
    def of_run(cls, model_dir: AnyPath) -> RunFiles:
        """Read the files of a run.

        Raises:
            UsageError: the directory holds neither a record nor evaluations.
        """
        files = cls.read(model_dir)
        if not files.record.starts and not files.evaluations:
            raise UsageError(
                f"{model_dir}: neither metrics.jsonl nor {RESULTS} is there, so it is not the model_dir of a run; name "
                "the model_dir of the config, or its --model_dir"
            )
        return files

    @property
    def metric_names(self) -> list[str]:
        """Results of the last evaluation, metrics before losses."""
        names = [name for name in (self.evaluations[-1] if self.evaluations else {}) if name not in _COUNTS]
        return sorted(names, key=lambda name: (self.is_loss(name), name))

    def is_loss(self, name: str) -> bool:
        """True for a loss: by the facts of the run, or by the losses of its log lines."""
        info = self.record.facts.get("metrics", {}).get(name)
        return info["is_loss"] if info else bool(self.record.logs) and name in self.record.logs[0]["losses"]

    def is_larger_better(self, name: str) -> bool | None:
        """Direction of a metric; None if its best value lies in between, or is unknown."""
        info = self.record.facts.get("metrics", {}).get(name)
        return info["larger_is_better"] if info else None

    def evaluated(self, name: str) -> Points:
        """Curve of a result of the evaluations."""
        return [(line["global_step"], line[name]) for line in self.evaluations if name in line]

    def evaluation_curves(self, name: str) -> dict[str, Points]:
        """Curves of a result of the evaluations: those on the rows of the last one, and those before them."""
        points = self.evaluated(name)
        return {
            "evaluation": [point for point in points if point[0] >= self.first_comparable],
            "evaluation on other rows": [point for point in points if point[0] < self.first_comparable],
        }

    def logged(self, group: str, name: str) -> Points:
        """Curve of a value of the log lines.

        Args:
            group: `losses` or `metrics`.
            name: of the value.
        """
        logs = self.steady_logs
        return [(log["step"], log[group][name]) for log in logs if log[group].get(name) is not None]

    @property
    def steady_logs(self) -> list[Mapping[str, Any]]:
        """Log lines without the first one, which covers the first step alone, whose duration is not representative."""
        logs = self.record.logs
        return list(logs[1:] if len(logs) > 1 or (logs and logs[0]["step"] == 0) else logs)

    def best(self, name: str) -> tuple[float, float] | None:
        """Return step and value of the best evaluation on the rows of the last one; None without a direction."""
        points = [(step, value) for step, value in self.evaluated(name) if math.isfinite(value)]
        points = [point for point in points if point[0] >= self.first_comparable]
        is_larger = self.is_larger_better(name)
        if is_larger is None or not points:
            return None
        return max(points, key=lambda point: point[1] if is_larger else -point[1])


def _read_analysis(path: AnyPath) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
