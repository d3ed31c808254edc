"""PrometheusFile: the listener that writes metrics of a run for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tzrec.checkpoint.saver import SaveResult
from tzrec.data.atomic import write_text
from tzrec.log import side_output
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.storage.path import AnyPath

if TYPE_CHECKING:
    from tzrec.run.facts import RunFacts
    from tzrec.run.training_loop import Outcome

STATES = ("running", "finished", "stopped", "failed")
_HELP = {
    "state": "1 for the state of the run",
    "step": "number of the last step",
    "planned_steps": "steps at which the run ends",
    "epoch": "complete epochs",
    "rows_per_second": "rows of all ranks, between the last two log lines",
    "eta_seconds": "expected time to the end",
    "loss": "mean over the rows since the last log line",
    "batch_metric": "metric of training batches",
    "learning_rate": "of an optimizer, the one of the tables first",
    "evaluation": "metric or loss of the last evaluation",
    "skipped_steps": "steps that were not applied",
    "last_log_timestamp_seconds": "time of the last log line",
    "last_checkpoint_timestamp_seconds": "time of the last checkpoint",
}


class PrometheusFile(Listener):
    """Gauges `tzrec_train_*` of a run, in a file that is replaced at once; its label `run` is the model directory.

    Args:
        path: of the file, which ends with `.prom`.
        model_dir: directory of the run.
    """

    def __init__(self, path: str, model_dir: AnyPath) -> None:
        self._path, self._run = path, str(model_dir)
        self._gauges: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self._state = "failed"  # unless the run completes

    def on_start(self, facts: RunFacts) -> None:
        self._set("step", facts.step)
        if facts.num_steps is not None:
            self._set("planned_steps", facts.num_steps)
        self._write("running")

    def on_skip(self, skipped: SkippedSteps) -> None:
        self._set("skipped_steps", skipped.num_steps)

    def on_log(self, log: StepLog) -> None:
        self._set("step", log.position.step)
        self._set("epoch", log.position.epochs)
        self._set("last_log_timestamp_seconds", time.time())
        if not log.is_warm_up:
            self._set("rows_per_second", log.rows_per_second)
        if log.eta is not None:
            self._set("eta_seconds", log.eta)
        self._set_each("loss", "loss", log.losses)
        self._set_each("batch_metric", "metric", log.metrics)
        self._set_each("learning_rate", "optimizer", dict(zip(map(str, range(9)), log.learning_rates, strict=False)))
        self._write("running")

    def on_save(self, saved: SaveResult) -> None:
        self._set("last_checkpoint_timestamp_seconds", time.time())
        self._write("running")

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._set_each("evaluation", "metric", evaluation.metrics)
        self._write("running")

    def on_complete(self, outcome: Outcome) -> None:
        self._set("step", outcome.step)
        self._gauges.pop("eta_seconds", None)
        self._state = "stopped" if outcome.signal else "finished"

    def on_end(self) -> None:
        self._write(self._state)

    def _set(self, gauge: str, value: float, *labels: tuple[str, str]) -> None:
        self._gauges.setdefault(gauge, {})[labels] = value

    def _set_each(self, gauge: str, label: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._set(gauge, value, (label, name))

    def _write(self, state: str) -> None:
        for name in STATES:
            self._set("state", float(name == state), ("state", name))
        with side_output(self._path):
            write_text(self._path, self.render())

    def render(self) -> str:
        """Format the gauges as text."""
        lines = []
        for gauge, description in _HELP.items():
            values = self._gauges.get(gauge, {})
            if values:
                lines += [f"# HELP tzrec_train_{gauge} {description}", f"# TYPE tzrec_train_{gauge} gauge"]
            for labels, value in values.items():
                text = ",".join(f'{name}="{_escape(word)}"' for name, word in (("run", self._run), *labels))
                lines.append(
                    f"tzrec_train_{gauge}{{{text}}} {value:.17g}".replace(" nan", " NaN").replace(" inf", " +Inf")
                )
        return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
