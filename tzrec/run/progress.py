"""Progress: the lines that a run logs, and on a terminal a line that moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.formatting import format_bytes, format_count, format_duration, progress_bar
from tzrec.live_line import REDRAW_S, live_line
from tzrec.log import log_facts
from tzrec.run.evaluation import Evaluation
from tzrec.run.listeners import Listener
from tzrec.run.metric_logger import StepLog

_FIRST_LINE_S = 5.0
_LINE_S = 60.0
"""Longest time without a line where no line moves; the first one comes earlier."""


class Progress(Listener):
    """Log lines of a run; on a terminal the training line is redrawn in place.

    Without a terminal there is a line per `log_step_count_steps` steps, and one more where these take long.
    """

    def __init__(self) -> None:
        self._current_log: Callable[[], StepLog] | None = None
        self._drawn_at = 0.0
        self._next_line = 0.0

    def on_loop(self, current_log: Callable[[], StepLog]) -> None:
        self._current_log = current_log
        self._next_line = time.monotonic() + _FIRST_LINE_S

    def on_step(self, position: Position) -> None:
        if self._current_log is None:
            return
        now = time.monotonic()
        if live_line.is_live:
            if now - self._drawn_at > REDRAW_S:
                self._drawn_at = now
                live_line.draw(progress_line(self._current_log()))
        elif now >= self._next_line:
            self._log_line(self._current_log())

    def on_log(self, log: StepLog) -> None:
        if not live_line.is_live:
            self._log_line(log)

    def on_save(self, saved: SaveResult) -> None:
        live_line.keep()
        size, waited = format_bytes(saved.size), f"{saved.waited:.2f} s"
        text = f"save   {saved.path.name}  {size} in the background; the loop waited {waited}"
        log_facts(text, event="save", path=str(saved.path), bytes=saved.size, waited_seconds=saved.waited)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        facts = {"metrics": evaluation.metrics, "num_rows": evaluation.num_rows, "seconds": evaluation.seconds}
        log_facts(str(evaluation), event="evaluation", step=evaluation.step, **facts)

    def on_end(self) -> None:
        live_line.keep()

    def _log_line(self, log: StepLog) -> None:
        self._next_line = time.monotonic() + _LINE_S
        facts = {"losses": log.losses, "metrics": log.metrics, "learning_rates": log.learning_rates, "eta": log.eta}
        rate = None if log.is_warm_up else log.rows_per_second
        log_facts(progress_line(log), event="log", step=log.position.step, rows_per_second=rate, **facts)


def progress_line(log: StepLog) -> str:
    """Format `train  1,200/2,441 steps  epoch 1/1  49 %|####9     | 36.4k samples/s  eta 4:39  loss 0.2  lr 1.0e-3`."""
    num_steps, position = log.stop_condition.num_steps, log.position
    steps = f"{position.steps:,}" + (f"/{num_steps:,}" if num_steps is not None else "") + " steps"
    rate = [] if log.is_warm_up else [f"{format_count(log.rows_per_second)} samples/s"]
    fraction = log.stop_condition.fraction(position)
    if fraction is not None:
        bar = f"{int(100 * fraction + 1e-9)} %|{progress_bar(fraction)}|"
        rate = [" ".join([bar, *rate])]
    parts = ["train", steps, _epoch_text(log), *rate]
    if log.eta is not None:
        parts.append(f"eta {'at most ' if log.stop_condition.has_early_end else ''}{format_duration(log.eta)}")
    learning_rates = list(dict.fromkeys(f"{rate:.1e}".replace("e-0", "e-") for rate in log.learning_rates))
    metrics = [f"{name} {value:.4f}" for name, value in log.metrics.items()]
    return "  ".join([*parts, losses_text(log.losses), *metrics, f"lr {', '.join(learning_rates)}"])


def _epoch_text(log: StepLog) -> str:
    """Format the epoch of the last step, counted from 1: `epoch 2/3`."""
    position = log.position
    is_at_end = position.cursor.row == 0 and position.step >= 0
    number = position.data_epochs if is_at_end else position.data_epochs + 1
    return f"epoch {number}" + (f"/{log.stop_condition.num_epochs}" if log.stop_condition.num_epochs else "")


def losses_text(losses: Mapping[str, float]) -> str:
    """Format `loss 0.212 (ctr 0.187, cvr 0.025)`, without the common prefix of the names."""
    total = f"loss {sum(losses.values()):.4g}"
    if len(losses) < 2:
        return total
    first, last = min(losses), max(losses)  # the common prefix of these two is that of all
    end = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    start = first.rfind("_", 0, end) + 1
    return f"{total} ({', '.join(f'{name[start:]} {value:.4g}' for name, value in losses.items())})"
