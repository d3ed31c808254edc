"""Listeners: objects that observe a run and do not change it."""

from __future__ import annotations

import io
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tzrec.checkpoint.position import Position
from tzrec.checkpoint.saver import SaveResult
from tzrec.log import side_output
from tzrec.run.evaluation import Evaluation
from tzrec.run.metric_logger import StepLog
from tzrec.run.skipped_steps import SkippedSteps
from tzrec.run.write_pace import WritePace
from tzrec.storage.path import AnyPath, StorePath

if TYPE_CHECKING:
    from tzrec.run.facts import RunFacts
    from tzrec.run.training_loop import Outcome

_UPLOAD_S = 60.0


class Listener:
    """Base of all listeners, with methods that do nothing. Only rank 0 calls them."""

    def on_start(self, facts: RunFacts) -> None:
        """Called before the first step, with the facts of the run."""

    def on_loop(self, current_log: Callable[[], StepLog]) -> None:
        """Called before the first step, with a function that summarizes the last steps at any time."""

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
    """File in a store that grows: a store cannot append, so it is uploaded as a whole by a `WritePace`."""

    def __init__(self, path: StorePath) -> None:
        self._path, self._data = path, bytearray()
        self._pace = WritePace(_UPLOAD_S)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        if self._pace.is_due:
            with self._pace.writing(), side_output(self._path, "it is tried again"):
                self._path.write_bytes(bytes(self._data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._path.write_bytes(bytes(self._data))
