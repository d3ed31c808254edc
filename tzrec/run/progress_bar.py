"""Progress bar of a run that Python code starts, in a terminal or a notebook."""

from __future__ import annotations

import sys

from tzrec.checkpoint.position import Position
from tzrec.formatting import format_count
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog
from tzrec.run.progress import losses_text

_REDRAW_S = 0.5


class ProgressBar(Listener):
    """Bar with steps, loss and throughput, and a line for each evaluation.

    It is drawn on stderr; a notebook, which shows stderr in red, has it on stdout.
    """

    def __init__(self) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped]

        self._stream = sys.stdout if "ipykernel" in sys.modules else sys.stderr
        self._bar = tqdm(desc="train", unit=" steps", file=self._stream, dynamic_ncols=True, mininterval=_REDRAW_S)

    def on_step(self, position: Position) -> None:
        self._bar.update(position.steps - self._bar.n)

    def on_log(self, log: StepLog) -> None:
        self._bar.total = log.stop_condition.num_steps
        rate = f"{format_count(log.rows_per_second)} samples/s"
        self._bar.set_postfix_str(f"{losses_text(log.losses)}, {rate}")

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._bar.write(str(evaluation), file=self._stream)

    def on_end(self) -> None:
        self._bar.close()
