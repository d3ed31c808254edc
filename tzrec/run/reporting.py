"""Report: the listener that writes `report.html` into the model directory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from tzrec.checkpoint.store import RESULTS, read_results
from tzrec.data.atomic import write_text
from tzrec.log import side_output
from tzrec.report.chart import Points, line_chart
from tzrec.report.page import page, table, text
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.storage.path import AnyPath

NAME = "report.html"
_COUNTS = ("global_step", "skipped_steps")


class Report(Listener):
    """Curves of losses, metrics and throughput, a table of evaluations, and the config.

    Evaluations are those of all runs in the model directory; losses and throughput are those of this run.

    Args:
        model_dir: directory of the report.
        config: text of the resolved config.
    """

    def __init__(self, model_dir: AnyPath, config: str) -> None:
        self._model_dir = model_dir
        self._config = config
        self._logs: list[StepLog] = []
        self._skipped = SkippedSteps()

    def on_log(self, log: StepLog) -> None:
        self._logs.append(log)

    def on_skip(self, skipped: SkippedSteps) -> None:
        self._skipped = skipped

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._write()

    def on_end(self) -> None:
        if self._logs:
            self._write()

    def _write(self) -> None:
        path = self._model_dir / NAME
        with side_output(path):
            write_text(path, self._page())

    def _page(self) -> str:
        evaluations = _read_evaluations(self._model_dir / RESULTS)
        losses, metrics = _columns(evaluations, self._is_loss), _columns(evaluations, lambda n: not self._is_loss(n))
        throughput = {"samples/s": self._points(lambda log: log.rows_per_second)}
        sections = {
            "Metrics on the evaluation data": line_chart(metrics, "step"),
            "Metrics on the training batches": line_chart(self._train_metrics(), "step"),
            "Training loss": line_chart(self._losses(), "step"),
            "Loss on the evaluation data": line_chart(losses, "step"),
            "Throughput, samples per second": line_chart(throughput, "step"),
            "Evaluations": table([_table_row(evaluation) for evaluation in evaluations]),
            **({"Skipped steps": text(str(self._skipped))} if self._skipped.num_steps else {}),
            "Config": text(self._config),
        }
        return page(self._model_dir.name, sections)

    def _losses(self) -> dict[str, Points]:
        names = self._logs[0].losses if self._logs else {}
        curves = {name: self._points(partial(_loss, name)) for name in names}
        return curves if len(curves) == 1 else {"total": self._points(lambda log: log.total_loss), **curves}

    def _train_metrics(self) -> dict[str, Points]:
        names = self._logs[-1].metrics if self._logs else {}
        return {name: self._points(partial(_train_metric, name)) for name in names}

    def _points(self, read: Callable[[StepLog], float]) -> Points:
        # the first log line covers the first step alone, whose duration is not representative
        logs = self._logs[1:] if len(self._logs) > 1 else self._logs
        return [(log.position.step, read(log)) for log in logs]

    def _is_loss(self, name: str) -> bool:
        return bool(self._logs) and name in self._logs[0].losses


def _loss(name: str, log: StepLog) -> float:
    return log.losses.get(name, float("nan"))


def _train_metric(name: str, log: StepLog) -> float:
    return log.metrics.get(name, float("nan"))


def _read_evaluations(path: AnyPath) -> list[dict[str, float]]:
    return [{name: math.nan if value is None else value for name, value in line.items()} for line in read_results(path)]


def _columns(evaluations: list[dict[str, float]], is_selected: Callable[[str], bool]) -> dict[str, Points]:
    """Return the curves of the selected columns of the last evaluation."""
    names = [name for name in (evaluations[-1] if evaluations else {}) if name not in _COUNTS and is_selected(name)]
    return {name: [(line["global_step"], line[name]) for line in evaluations if name in line] for name in names}


def _table_row(evaluation: Mapping[str, float]) -> dict[str, str]:
    values = {name: f"{value:.6f}" for name, value in evaluation.items() if name not in _COUNTS}
    skipped = {"skipped steps": f"{evaluation['skipped_steps']:,}"} if "skipped_steps" in evaluation else {}
    return {"step": f"{evaluation['global_step']:,}", **skipped, **values}
