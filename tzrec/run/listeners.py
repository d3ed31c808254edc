"""Listeners: what watches a run. They may look, never steer."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.formatting import format_bytes, format_count, format_duration
from tzrec.log import logger
from tzrec.run.evaluate import Evaluation
from tzrec.run.metric_logger import StepLog

_REDRAW_S = 0.2
_BAR = 10


class Listener:
    """Does nothing; listeners override what they want to hear of. Only rank 0 has any."""

    def on_step(self, position: Position) -> None:
        """A step has been trained."""

    def on_log(self, log: StepLog) -> None:
        """A log step has been trained; the first comes after the first step."""

    def on_save(self, saved: SaveResult) -> None:
        """A checkpoint has been copied, a thread is writing it."""

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """An evaluation is complete."""

    def on_end(self) -> None:
        """The run is over, whether well or not."""


class Progress(Listener):
    """The lines of a run: on a terminal one that moves, in a file one per log step."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._moving = self._stream.isatty() and bool(logger.handlers)  # a program that wants no lines wants no bar
        self._log: StepLog | None = None
        self._drawn = 0.0

    def on_step(self, position: Position) -> None:
        if self._moving and self._log and time.monotonic() - self._drawn > _REDRAW_S:
            self._draw(position)

    def on_log(self, log: StepLog) -> None:
        self._log = log
        if self._moving:
            self._draw(log.position)
        else:
            logger.info(progress_line(log, log.position))

    def on_save(self, saved: SaveResult) -> None:
        size, waited = format_bytes(saved.size), f"{saved.waited:.2f} s"
        self._say(f"save   {saved.path.name}  {size} in the background; the loop waited {waited}")

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._say(evaluation_line(evaluation))

    def on_end(self) -> None:
        self._end_line()

    def _draw(self, position: Position) -> None:
        assert self._log is not None
        self._drawn = time.monotonic()
        text = progress_line(self._log, position)
        width = os.get_terminal_size(self._stream.fileno()).columns
        self._stream.write(f"\r\x1b[2K{text[: width - 1]}")
        self._stream.flush()

    def _end_line(self) -> None:
        if self._moving and self._drawn:
            self._stream.write("\n")
            self._drawn = 0.0

    def _say(self, text: str) -> None:
        self._end_line()
        logger.info(text)


class TensorBoard(Listener):
    """Event files: training in model_dir, evaluations in model_dir/eval_val.

    A thread writes them: importing TensorBoard takes longer than a step, and nobody should wait for it.
    """

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._events: queue.Queue[tuple[str, int | None, dict[str, float]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, name="tensorboard", daemon=True)
        self._thread.start()

    def on_log(self, log: StepLog) -> None:
        values = {f"loss/{name}": value for name, value in log.losses.items()}
        values |= {f"metric/{name}": value for name, value in log.metrics.items()}
        values |= {f"lr/g{index}": rate for index, rate in enumerate(log.rates)}
        self._events.put(("", log.position.step, {**values, "loss/total": log.loss, "speed/rows_per_s": log.speed}))

    def on_evaluation(self, evaluation: Evaluation) -> None:
        values = {f"metric/{name}": value for name, value in evaluation.metrics.items()}
        self._events.put(("eval_val", evaluation.step, values))

    def on_end(self) -> None:
        self._events.put(None)
        self._thread.join()

    def _write(self) -> None:
        writers: dict[str, Any] = {}
        while (event := self._events.get()) is not None:
            folder, step, values = event
            try:
                if folder not in writers:
                    writers[folder] = _summary_writer()(str(self._model_dir / folder))
                for name, value in values.items():
                    writers[folder].add_scalar(name, value, step)
            except (ImportError, OSError) as error:
                logger.warning("no TensorBoard events: %s", error)
                return
        for writer in writers.values():
            writer.close()


def _summary_writer() -> Callable[[str], Any]:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter


def progress_line(log: StepLog, position: Position) -> str:
    """`train  1,200/2,441 steps  epoch 1/1  49 %|####9     | 36.4k samples/s  eta 4:39  loss 0.212 (...)  lr 1.0e-3`"""
    goal = log.goal
    steps = f"{position.steps:,}" + (f"/{goal.steps:,}" if goal.steps is not None else "") + " steps"
    parts = ["train", steps, _epoch(log, position), f"{format_count(log.speed)} samples/s"]
    if goal.steps:
        share = min(position.steps / goal.steps, 1.0)
        parts[3] = f"{share:.0%}".replace("%", " %") + f"|{bar(share)}| {parts[3]}"
    if log.eta is not None:
        parts.append(f"eta {format_duration(log.eta)}")
    rates = list(dict.fromkeys(f"{rate:.1e}".replace("e-0", "e-") for rate in log.rates))
    metrics = [f"{name} {value:.4f}" for name, value in log.metrics.items()]
    return "  ".join([*parts, losses_text(log.losses), *metrics, f"lr {', '.join(rates)}"])


def _epoch(log: StepLog, position: Position) -> str:
    """The pass that the step belongs to, counted from 1 as people do."""
    complete = position.cursor.row == 0 and position.step >= 0
    running = position.epochs if complete else position.epochs + 1
    return f"epoch {running}" + (f"/{log.goal.epochs}" if log.goal.epochs else "")


def evaluation_line(evaluation: Evaluation) -> str:
    """`eval   step 1200  auc_ctr 0.6341  auc_cvr 0.6407  (200,000 rows, 61k/s)`"""
    step = "" if evaluation.step is None else f"step {evaluation.step}  "
    values = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items())
    speed = format_count(evaluation.rows / max(evaluation.seconds, 1e-9))
    return f"eval   {step}{values}  ({evaluation.rows:,} rows, {speed}/s)"


def losses_text(losses: Mapping[str, float]) -> str:
    """`loss 0.212 (ctr 0.187, cvr 0.025)`: what the names have in common is left out."""
    total = f"loss {sum(losses.values()):.4g}"
    if len(losses) < 2:
        return total
    first, last = min(losses), max(losses)  # what these two have in common, all have
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    cut = first.rfind("_", 0, same) + 1
    return f"{total} ({', '.join(f'{name[cut:]} {value:.4g}' for name, value in losses.items())})"


def bar(share: float) -> str:
    """`####9     `: full tenths, and the digit of the one under way."""
    tenths = int(share * _BAR * 10 + 1e-9)
    full, digit = divmod(tenths, 10)
    return ("#" * full + (str(digit) if digit else "")).ljust(_BAR)[:_BAR]
