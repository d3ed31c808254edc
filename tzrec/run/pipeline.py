"""Training pipeline: while a batch is trained, the next ones are read, copied to the device and exchange their ids.

It has the shape of torchrec's `TrainPipelineSparseDist`, see docs/why.md. On the CPU the same calls run in the same
order without streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tzrec.checkpoint.position import Position
from tzrec.data.batch import Batch, Cursor
from tzrec.distributed import group
from tzrec.run.stop_condition import StopCondition
from tzrec.run.streams import Streams
from tzrec.tables.id_exchange import IdExchange

StartLookups: TypeAlias = Callable[[Batch], tuple[Batch, list[IdExchange]]]


@dataclass(frozen=True)
class Step:
    """Rows of one step and its place in the run.

    Attributes:
        batch: the rows.
        before: position before the step; another epoch than after the last step where that ended an epoch.
        after: position after it, at the start of the next epoch if the batch is the last of its epoch.
        exchanges: of the ids of the batch.
    """

    batch: Batch
    before: Position
    after: Position
    exchanges: list[IdExchange] = field(default_factory=list)


def read_steps(
    batches: Iterator[Batch],
    open_epoch: Callable[[Cursor], Iterator[Batch]],
    position: Position,
    stop_condition: StopCondition,
) -> Iterator[Step]:
    """Read the steps of a run, epoch after epoch; the positions are those of the reading, ahead of the training.

    Args:
        batches: the rest of the current epoch.
        open_epoch: opens the data at a cursor.
        position: of the run.
        stop_condition: of the run.
    """
    while not stop_condition.is_reached(position):
        batch = None
        for batch, is_last in mark_last(batches):
            after = position.after(batch)
            after = after.next_epoch() if is_last else after
            yield Step(batch, position, after)
            position = after
            if stop_condition.is_reached(position):
                return
        if batch is None:  # the checkpoint was written at the very end of an epoch
            position = position.next_epoch()
        batches = open_epoch(position.cursor)


def mark_last(batches: Iterator[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Yield each batch with True if it is the last one; reads one batch ahead."""
    batch = next(batches, None)
    while batch is not None:
        group.arrive("reading the next batch")
        next_batch = next(batches, None)
        yield batch, next_batch is None
        batch = next_batch


class TrainPipeline:
    """Iterator over the steps of a run, with their batches on the device.

    When a step is returned, the next one exchanges the numbers of its ids, and the one after it is being copied. Call
    `advance` after the forward pass: it sends the ids of the next step, which then travel during the backward pass.
    All ranks read the same number of steps, and agree on an earlier end; `close` then receives what is on its way, so
    that no rank waits for another.

    Args:
        steps: with batches on the CPU.
        start_lookups: see `EmbeddingGroup.start_lookups`.
        streams: of the device.
    """

    def __init__(self, steps: Iterator[Step], start_lookups: StartLookups, streams: Streams) -> None:
        self._steps, self._start_lookups, self._streams = steps, start_lookups, streams
        self._copied: Step | None = None
        self._started: Step | None = None
        self._sent: Step | None = None
        self._is_filled = False

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        if not self._is_filled:
            self._is_filled = True
            self._read()
            self._start()
            self.advance()
        if self._sent is None:
            assert self._started is None, "advance was not called after the last step"
            raise StopIteration
        step = self._receive(self._sent)
        self._sent = None
        self._start()
        return step

    def advance(self) -> None:
        """Send the ids of the next step."""
        if self._started is None:
            return
        if self._started.exchanges:
            group.arrive("the exchange of ids", self._started.after.step)
        with self._streams.exchanging():
            for exchange in self._started.exchanges:
                exchange.send()
        self._sent, self._started = self._started, None

    def close(self) -> None:
        """Receive and drop the ids that are on their way. All ranks call this together."""
        self.advance()
        if self._sent is not None:
            self._receive(self._sent)
        self._sent = self._copied = None

    def _read(self) -> None:
        """Read a step and start to copy its batch."""
        step = next(self._steps, None)
        if step is not None:
            with self._streams.copying():
                step = replace(step, batch=self._streams.to_device(step.batch))
        self._copied = step

    def _start(self) -> None:
        """Start the lookups of the step that was copied, and copy another one."""
        step = self._copied
        if step is not None:
            with self._streams.exchanging():
                self._streams.take_copied(step.batch)
                batch, exchanges = self._start_lookups(step.batch)
            self._started = replace(step, batch=batch, exchanges=exchanges)
        self._read()

    def _receive(self, step: Step) -> Step:
        """Receive the ids of a step, and hand its batch over to the stream of the training."""
        with self._streams.exchanging():
            for exchange in step.exchanges:
                exchange.receive()
        self._streams.take_exchanged(step.batch)
        return step
