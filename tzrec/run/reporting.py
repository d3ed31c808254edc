"""Report: the listener that writes `report.html` into the model directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tzrec.data.atomic import write_text
from tzrec.log import side_output
from tzrec.report.run_files import RunFiles
from tzrec.report.run_page import run_page
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.write_pace import WritePace
from tzrec.storage.path import AnyPath

if TYPE_CHECKING:
    from tzrec.run.training_loop import Outcome

NAME = "report.html"


def write_report(model_dir: AnyPath) -> AnyPath:
    """Write the report of a run from the files in its model directory; return its path."""
    path = model_dir / NAME
    write_text(path, run_page(RunFiles.read(model_dir)))
    return path


class Report(Listener):
    """Writes the report during a run and at its end, from the record of the run: it follows a `Recorder`.

    The first evaluation writes it, later ones and log lines write it again by a `WritePace`.

    Args:
        model_dir: directory of the report.
    """

    def __init__(self, model_dir: AnyPath) -> None:
        self._model_dir = model_dir
        self._pace = WritePace()
        self._has_news = self._has_evaluation = False

    def on_log(self, log: StepLog) -> None:
        self._has_news = True
        if self._has_evaluation and self._pace.is_due:
            self._write()

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._has_news = self._has_evaluation = True
        if self._pace.is_due:
            self._write()

    def on_complete(self, outcome: Outcome) -> None:
        self._has_news = True

    def on_end(self) -> None:
        if self._has_news:
            self._write()

    def _write(self) -> None:
        self._has_news = False
        with self._pace.writing(), side_output(self._model_dir / NAME):
            write_report(self._model_dir)
