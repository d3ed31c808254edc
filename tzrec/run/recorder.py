"""Recorder: the listener that writes `metrics.jsonl`, the record of a run, into the model directory."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tzrec.checkpoint.saver import SaveResult
from tzrec.data.atomic import append_lines
from tzrec.log import side_output
from tzrec.report.record import RECORD, to_line
from tzrec.run.evaluation import Evaluation
from tzrec.run.facts import RunFacts
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.storage.path import AnyPath, StorePath

if TYPE_CHECKING:
    from tzrec.run.training_loop import Outcome


class Recorder(Listener):
    """Writes each event of a run as a line, see `tzrec.report.record`.

    In a store, which cannot append, lines are kept back until the next save or evaluation.

    Args:
        model_dir: directory of the record.
    """

    def __init__(self, model_dir: AnyPath) -> None:
        self._path = model_dir / RECORD
        self._is_store = isinstance(model_dir, StorePath)
        self._lines: list[str] = []
        self._step = -1

    def on_start(self, facts: RunFacts) -> None:
        self._step = facts.step
        self._add("start", asdict(facts))
        self._write()

    def on_log(self, log: StepLog) -> None:
        self._step = log.position.step
        fields = {
            "epoch": log.position.epochs,
            "losses": log.losses,
            "metrics": log.metrics,
            "learning_rates": log.learning_rates,
            "rows_per_second": log.rows_per_second,
            "stage_seconds": {name: round(value, 4) for name, value in log.stage_seconds.items()},
        }
        self._add("log", fields)
        if not self._is_store:
            self._write()

    def on_skip(self, skipped: SkippedSteps) -> None:
        fields = {"num_steps": skipped.num_steps, "num_rows": skipped.num_rows, "first_step": skipped.first_step}
        self._add("skip", fields)

    def on_save(self, saved: SaveResult) -> None:
        self._step = int(saved.path.name.rpartition("-")[2])
        self._add("save", {"path": saved.path.name, "bytes": saved.size, "waited_seconds": saved.waited})
        self._write()

    def on_evaluation(self, evaluation: Evaluation) -> None:
        fields = {"metrics": evaluation.metrics, "num_rows": evaluation.num_rows, "seconds": evaluation.seconds}
        self._add("evaluation", fields)
        self._write()

    def on_complete(self, outcome: Outcome) -> None:
        self._step = outcome.step
        fields = {
            "signal": outcome.signal,
            "seconds": outcome.seconds,
            "stage_seconds": {name: round(value, 4) for name, value in outcome.stage_seconds.items()},
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "bad_rows": outcome.bad_rows,
        }
        self._add("end", fields)
        self._write()  # the report, which ends earlier, reads it

    def on_end(self) -> None:
        self._write()

    def _add(self, event: str, fields: Mapping[str, Any]) -> None:
        self._lines.append(to_line(event, time.time(), self._step, fields))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        with side_output(self._path):
            if lines:
                append_lines(self._path, lines)
