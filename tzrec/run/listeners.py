"""Listeners: objects that observe a run and do not change it."""

from __future__ import annotations

import io
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.formatting import format_bytes, format_count, format_duration
from tzrec.log import logger, side_output
from tzrec.run.evaluation import Evaluation
from tzrec.run.metric_logger import StepLog
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.storage.path import AnyPath, StorePath

if TYPE_CHECKING:
    from tzrec.run.facts import RunFacts
    from tzrec.run.training_loop import Outcome

_REDRAW_S = 0.2
_BAR_WIDTH = 10
_UPLOAD_S = 60.0


class Listener:
    """Base of all listeners, with methods that do nothing. Only rank 0 calls them."""

    def on_start(self, facts: RunFacts) -> None:
        """Called before the first step, with the facts of the run."""

    def on_step(self, position: Position) -> None:
        """Called after each step."""

    def on_skip(self, skipped: SkippedSteps) -> None:
        """Called after a step that was not applied, with the counts of such steps."""

    def on_log(self, log: StepLog) -> None:
        """Called every `log_step_count_steps` steps, from the first step on."""

    def on_save(self, saved: SaveResult) -> None:
        """Called when the state has been copied for a checkpoint, which a thread then writes."""

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Called after each evaluation."""

    def on_complete(self, outcome: Outcome) -> None:
        """Called when training is over, by its stop condition or by a signal, before `on_end`; not after an error."""

    def on_end(self) -> None:
        """Called at the end of a run, also after an error."""


class Progress(Listener):
    """Log lines of a run; on a terminal the training line is redrawn in place.

    Args:
        stream: default: stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty() and bool(logger.handlers)  # without log lines no progress bar either
        self._log: StepLog | None = None
        self._drawn_at = 0.0

    def on_step(self, position: Position) -> None:
        if self._is_live and self._log and time.monotonic() - self._drawn_at > _REDRAW_S:
            self._draw(position)

    def on_log(self, log: StepLog) -> None:
        self._log = log
        if self._is_live:
            self._draw(log.position)
        else:
            logger.info(progress_line(log, log.position))

    def on_save(self, saved: SaveResult) -> None:
        size, waited = format_bytes(saved.size), f"{saved.waited:.2f} s"
        self._write_line(f"save   {saved.path.name}  {size} in the background; the loop waited {waited}")

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self._write_line(str(evaluation))

    def on_end(self) -> None:
        self._end_live_line()

    def _draw(self, position: Position) -> None:
        assert self._log is not None
        self._drawn_at = time.monotonic()
        text = progress_line(self._log, position)
        with self._terminal():
            width = os.get_terminal_size(self._stream.fileno()).columns
            self._stream.write(f"\r\x1b[2K{text[: width - 1]}")
            self._stream.flush()

    def _end_live_line(self) -> None:
        if self._is_live and self._drawn_at:
            self._drawn_at = 0.0
            with self._terminal():
                self._stream.write("\n")

    @contextmanager
    def _terminal(self) -> Iterator[None]:
        """Guard what is drawn: a terminal that is gone does not come back, and does not end a run."""
        was_live, self._is_live = self._is_live, False
        with side_output("the progress bar"):
            yield
            self._is_live = was_live

    def _write_line(self, text: str) -> None:
        self._end_live_line()
        logger.info(text)


class TensorBoard(Listener):
    """Writer of TensorBoard events: training in model_dir, evaluations in model_dir/eval_val.

    A thread writes them, because importing TensorBoard takes longer than a training step.

    Args:
        model_dir: directory of the run.
    """

    def __init__(self, model_dir: AnyPath) -> None:
        self._model_dir = model_dir
        self._events: queue.Queue[tuple[str, int | None, dict[str, float]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, name="tensorboard", daemon=True)
        self._thread.start()

    def on_log(self, log: StepLog) -> None:
        scalars = {f"loss/{name}": value for name, value in log.losses.items()}
        scalars |= {f"metric/{name}": value for name, value in log.metrics.items()}
        scalars |= {f"lr/g{index}": rate for index, rate in enumerate(log.learning_rates)}
        scalars |= {"loss/total": log.total_loss, "speed/rows_per_s": log.rows_per_second}
        self._events.put(("", log.position.step, scalars))

    def on_evaluation(self, evaluation: Evaluation) -> None:
        scalars = {f"metric/{name}": value for name, value in evaluation.metrics.items()}
        self._events.put(("eval_val", evaluation.step, scalars))

    def on_end(self) -> None:
        self._events.put(None)
        self._thread.join()

    def _write(self) -> None:
        with side_output(f"TensorBoard events in {self._model_dir}"), ExitStack() as stack:
            writers: dict[str, EventFile] = {}
            while (event := self._events.get()) is not None:
                directory, step, scalars = event
                if directory not in writers:
                    writers[directory] = stack.enter_context(event_file(self._model_dir / directory))
                writers[directory](step, scalars)


EventFile = Callable[[int | None, Mapping[str, float]], None]


@contextmanager
def event_file(directory: AnyPath) -> Iterator[EventFile]:
    """Open a file of TensorBoard events; yields a function that writes the scalars of a step.

    It writes in the calling thread: TensorBoard's own writer has a further one, in which errors are lost.
    """
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
    from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

    directory.mkdir(parents=True, exist_ok=True)
    now = time.time()
    name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
    with _open_growing(directory / name) as stream:
        writer = RecordWriter(stream)
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())

        def write(step: int | None, scalars: Mapping[str, float]) -> None:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
            writer.write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)).SerializeToString())

        yield write


def _open_growing(path: AnyPath) -> io.RawIOBase:
    return path.open("wb", buffering=0) if isinstance(path, Path) else _UploadedFile(path)


class _UploadedFile(io.RawIOBase):
    """File in a store that grows: a store cannot append, so it is uploaded as a whole from time to time."""

    def __init__(self, path: StorePath) -> None:
        self._path, self._data = path, bytearray()
        self._uploaded_at = time.monotonic()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        if time.monotonic() - self._uploaded_at > _UPLOAD_S:
            self._uploaded_at = time.monotonic()
            with side_output(self._path, "it is tried again"):
                self._path.write_bytes(bytes(self._data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._path.write_bytes(bytes(self._data))


def progress_line(log: StepLog, position: Position) -> str:
    """Format `train  1,200/2,441 steps  epoch 1/1  49 %|####9     | 36.4k samples/s  eta 4:39  loss 0.2  lr 1.0e-3`."""
    num_steps = log.stop_condition.num_steps
    steps = f"{position.steps:,}" + (f"/{num_steps:,}" if num_steps is not None else "") + " steps"
    rate = f"{format_count(log.rows_per_second)} samples/s"
    if num_steps:
        fraction = min(position.steps / num_steps, 1.0)
        rate = f"{fraction:.0%}".replace("%", " %") + f"|{progress_bar(fraction)}| {rate}"
    parts = ["train", steps, _epoch_text(log, position), rate]
    if log.eta is not None:
        parts.append(f"eta {format_duration(log.eta)}")
    learning_rates = list(dict.fromkeys(f"{rate:.1e}".replace("e-0", "e-") for rate in log.learning_rates))
    metrics = [f"{name} {value:.4f}" for name, value in log.metrics.items()]
    return "  ".join([*parts, losses_text(log.losses), *metrics, f"lr {', '.join(learning_rates)}"])


def _epoch_text(log: StepLog, position: Position) -> str:
    """Format the epoch of the last step, counted from 1: `epoch 2/3`."""
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


def progress_bar(fraction: float) -> str:
    """Draw `####9     `: one # for each complete tenth, then the digit of the current one."""
    hundredths = int(fraction * _BAR_WIDTH * 10 + 1e-9)
    num_full, digit = divmod(hundredths, 10)
    return ("#" * num_full + (str(digit) if digit else "")).ljust(_BAR_WIDTH)[:_BAR_WIDTH]
