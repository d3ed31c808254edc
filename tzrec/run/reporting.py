"""Report: the listener that writes `report.html` into the model directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tzrec.checkpoint.store import RESULTS
from tzrec.data.atomic import write_text
from tzrec.report.chart import Points, line_chart
from tzrec.report.page import page, table, text
from tzrec.run.evaluate import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog

NAME = "report.html"


class Report(Listener):
    """Curves of losses, metrics and speed, the evaluations as a table, and the config that made them.

    Evaluations are those of the whole model directory; losses and speed those of this run.

    Args:
        model_dir: where the page goes.
        config: text of the resolved config.
    """

    def __init__(self, model_dir: Path, config: str) -> None:
        self._model_dir = model_dir
        self._config = config
        self._logs: list[StepLog] = []

    def on_log(self, log: StepLog) -> None:
        self._logs.append(log)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._write()

    def on_end(self) -> None:
        if self._logs:
            self._write()

    def _write(self) -> None:
        evaluations = _evaluations(self._model_dir / RESULTS)
        metrics = _columns(evaluations, lambda name: not _is_loss(name, self._logs))
        sections = {
            "Metrics on the evaluation data": line_chart(metrics, "step"),
            "Metrics on the training batches": line_chart(self._metrics(), "step"),
            "Training loss": line_chart(self._losses(), "step"),
            "Loss on the evaluation data": line_chart(_columns(evaluations, lambda n: _is_loss(n, self._logs)), "step"),
            "Speed, samples per second": line_chart({"samples/s": self._points(lambda log: log.speed)}, "step"),
            "Evaluations": table([_row(each) for each in evaluations]),
            "Config": text(self._config),
        }
        write_text(self._model_dir / NAME, page(self._model_dir.name, sections))

    def _losses(self) -> dict[str, Points]:
        names = self._logs[0].losses if self._logs else {}
        found = {name: self._points(lambda log, name=name: log.losses.get(name, float("nan"))) for name in names}
        return found if len(found) == 1 else {"total": self._points(lambda log: log.loss), **found}

    def _metrics(self) -> dict[str, Points]:
        names = self._logs[-1].metrics if self._logs else {}
        return {name: self._points(lambda log, name=name: log.metrics.get(name, float("nan"))) for name in names}

    def _points(self, read: Any) -> Points:
        # the first log holds the first step alone, whose speed says nothing
        logs = self._logs[1:] if len(self._logs) > 1 else self._logs
        return [(log.position.step, read(log)) for log in logs]


def _evaluations(path: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{name: float("nan") if value is None else value for name, value in line.items()} for line in lines]


def _is_loss(name: str, logs: list[StepLog]) -> bool:
    return bool(logs) and name in logs[0].losses


def _columns(evaluations: list[dict[str, float]], wanted: Any) -> dict[str, Points]:
    names = [name for name in (evaluations[-1] if evaluations else {}) if name != "global_step" and wanted(name)]
    return {name: [(each["global_step"], each[name]) for each in evaluations if name in each] for name in names}


def _row(evaluation: Mapping[str, float]) -> dict[str, str]:
    values = {name: f"{value:.6f}" for name, value in evaluation.items() if name != "global_step"}
    return {"step": f"{evaluation['global_step']:,}", **values}
